"""Keys of a whole system: rotated while a proxy runs, old mail sealed anew, the old one dropped."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_client.files import write_private
from e2email_client.resealing import pending
from e2email_crypto import packets, vault
from e2email_crypto.packets import message_key_ids
from e2email_protocol.sealed.render import parse_rendered
from support import corpus
from support.system import (
    DOMAIN,
    Proxy,
    Server,
    User,
    count,
    environment,
    eventually,
    literals,
    online,
    server,
)

BEFORE, AFTER = 20, 5
KILLED_AT = (18, 13, 7)  # mails under old keys when it is killed
ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE EMAILID ENVELOPE)"


def mails() -> list[bytes]:
    return [octets for _, octets in corpus.messages()]


@pytest.fixture(scope="module")
def user(house: Server, users) -> User:
    made = users("kim")
    for octets in mails()[-BEFORE:]:
        house.deliver(octets, made.address)
    made.sync()
    return made


def opened(user: User, folder: Path) -> dict[str, bytes]:
    """Name → octets of all that opens."""
    done = user.e2email("export", folder, "--mailbox", "INBOX", "--json")
    assert done.code == 0, done.error
    assert done.json["unreadable"] == 0
    return {path.name: path.read_bytes() for path in folder.rglob("*.eml")}


def shown(proxy: Proxy) -> list[bytes]:
    """Everything that a program is told of the inbox, but for the connection's own counters."""
    with proxy.imap() as client:
        _, found = client.uid(
            "FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE EMAILID ENVELOPE)"
        )
        bodies = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
    return [*map(repr, found), *bodies]


def sealed_to(house: Server, user: User) -> list[frozenset[str]]:
    client = house.imap(user)
    client.select("INBOX", readonly=True)
    held = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
    client.logout()
    records = [parse_rendered(one) for one in held]
    assert all(records)
    return [message_key_ids(one.envelope) for one in records if one]


def test_a_key_is_rotated_and_old_mail_follows(house: Server, user: User, tmp_path: Path) -> None:
    old = user.unlocked().statement.key_ids
    assert set(sealed_to(house, user)) == {old}
    with user.proxy() as proxy:
        with proxy.imap() as client:
            assert eventually(lambda: count(client) == BEFORE)
            assert online(client)
        before = shown(proxy)
        rotated = user.e2email("key", "rotate", "--json")
        assert rotated.code == 0, rotated.error
        new = user.unlocked().statement.key_ids
        assert not new & old
        for octets in mails()[:AFTER]:
            house.deliver(octets, user.address)
        with proxy.imap() as client:
            assert eventually(lambda: count(client) == BEFORE + AFTER)
        both = shown(proxy)
        assert both[-AFTER:] != before[-AFTER:]
        told = user.e2email("status", "--json").json
        assert (told["keys_behind"], told["notices"]) == (False, [])
        resealed(house, user, new)
        with proxy.imap() as client:
            assert count(client) == BEFORE + AFTER
        assert shown(proxy) == both
    there = opened(user, tmp_path / "both")
    assert len(there) == BEFORE + AFTER
    # and without the old key
    (user.folder / "cache.db").unlink()
    forget_old_subkey(user)
    user.sync()
    assert opened(user, tmp_path / "new") == there
    status = user.sync()
    assert (status["alarms"], status["unreadable"]) == (0, 0)


def resealed(house: Server, user: User, new: frozenset[str]) -> None:
    dry = user.e2email("reseal", "--dry-run", "--json")
    assert (dry.code, dry.json["pending"], dry.json["resealed"]) == (0, BEFORE, 0), dry.error
    some = user.e2email("reseal", "--limit", "7", "--json")
    assert (some.code, some.json["resealed"]) == (0, 7), some.error
    rest = user.e2email("reseal", "--oldest-first", "--json")
    assert (rest.code, rest.json["resealed"]) == (0, BEFORE - 7), rest.error
    assert (rest.json["skipped"], rest.json["unopened"]) == (0, [])
    assert set(sealed_to(house, user)) == {new}
    again = user.e2email("reseal", "--json")
    assert (again.json["pending"], again.json["resealed"]) == (0, 0)


def forget_old_subkey(user: User) -> None:
    """From the vault on this machine."""
    here = user.unlocked()
    current = here.vault.identities[0]
    found = packets.split(current.tsk, 64)
    starts = [n for n, one in enumerate(found) if one.tag == packets.SECRET_SUBKEY]
    kept = found[: starts[0]] + found[starts[1] :]
    lesser = replace(current, tsk=b"".join(one.raw for one in kept))
    left = replace(here.vault, identities=(lesser, *here.vault.identities[1:]))
    names = here.settings.address, here.settings.server_name
    write_private(here.paths.vault, vault.seal_vault(left, here.key, *names))


@pytest.mark.slow
def test_killed_while_it_reseals_every_mail_stays_readable(
    house: Server, users, tmp_path: Path
) -> None:
    user = users("kate")
    for octets in mails()[:BEFORE]:
        house.deliver(octets, user.address)
    user.sync()
    there = opened(user, tmp_path / "before")
    assert user.e2email("key", "rotate").code == 0
    here = user.unlocked()
    assert len(pending(here)) == BEFORE
    for left in KILLED_AT:
        command = [sys.executable, "-m", "e2email_client", "reseal", *map(str, user.secrets())]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment()) as process:
            assert eventually(lambda: len(pending(here)) <= left, pause=0.005)  # noqa: B023
            process.kill()
    assert 0 < len(pending(here)) < BEFORE
    (user.folder / "cache.db").unlink()
    user.sync()
    assert opened(user, tmp_path / "killed") == there
    assert user.e2email("reseal").code == 0
    assert set(sealed_to(house, user)) == {here.statement.key_ids}


@pytest.mark.slow
def test_what_waits_for_the_server_outlives_a_rotation(tmp_path: Path) -> None:
    """Sealed to the old key while the server was away, sent after the key was rotated."""
    with server(tmp_path / "server") as house:
        user = house.user(f"wanda@{DOMAIN}", tmp_path / "wanda")
        user.sync()
        file = tmp_path / "mail.eml"
        file.write_bytes(b"From: wanda@example.test\r\nSubject: written offline\r\n\r\nText\r\n")
        house.stop()
        waiting = user.e2email("import", file, "--json")
        assert (waiting.code, waiting.json["waiting"]) == (0, 1), waiting.error
        house.start()
        old = user.unlocked().statement.key_ids
        assert user.e2email("key", "rotate").code == 0
        assert user.sync()["messages"] == 1
        status = user.e2email("status", "--json").json
        assert (status["waiting"], status["refused"], status["notices"]) == (0, [], [])
        assert sealed_to(house, user) == [old]
        assert user.e2email("reseal", "--json").json["resealed"] == 1
        assert sealed_to(house, user) == [user.unlocked().statement.key_ids]
        (user.folder / "cache.db").unlink()
        assert (user.sync()["alarms"], user.sync()["unreadable"]) == (0, 0)
        (only,) = user.e2email("list", "--json").json["messages"]
        assert only["subject"] == "written offline"
        assert only["security"]["origin"] == "device"
