"""Keys of gpg 2.2 and sq taken over, used and rotated; ours taken by gpg; keys on two machines."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

from support.gpg import Gpg, keyring
from support.system import Ran, Server, User, count, eventually, literals, online

STRONG = "harbour violin candle tundra"
MAIL = b"From: carol@example.net\r\nSubject: %b\r\n\r\nText %b\r\n"


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    with keyring() as found:
        yield found


def ok(done: Ran) -> Ran:
    assert done.code == 0, done.error
    return done


def keys(user: User) -> list[dict]:
    return ok(user.e2email("key", "list", "--json")).json["keys"]


def subjects(user: User) -> list[str]:
    status = user.sync()
    assert (status["alarms"], status["unreadable"]) == (0, 0)
    return [one["subject"] for one in ok(user.e2email("list", "--json")).json["messages"]][::-1]


def deliver(house: Server, user: User, *names: bytes) -> None:
    for name in names:
        house.deliver(MAIL % (name, name), user.address)


def by_gpg(gpg: Gpg, address: str) -> bytes:
    """A key of gpg 2.2 with a passphrase, an expiry, and an encryption subkey given up."""
    options = ("--pinentry-mode", "loopback", "--passphrase", "of gpg")
    gpg.ok(*options, "--quick-generate-key", f"Ada <{address}>", "rsa2048", "cert,sign", "1y")
    listed = gpg.ok("--with-colons", "--list-keys", address).decode().splitlines()
    fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr"))
    for kind in ("rsa2048", "cv25519"):
        gpg.ok(*options, "--quick-add-key", fingerprint, kind, "encr", "never")
    return gpg.ok(*options, "--armor", "--export-secret-keys", address)


def by_sq(_: Gpg, address: str) -> bytes:
    if shutil.which("sq") is None:
        pytest.skip("sq is not installed")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "key"
        command = ["sq", "key", "generate", "--userid", f"Ada <{address}>", "--export", str(file)]
        subprocess.run(command, capture_output=True, check=True)
        return file.read_bytes()


MAKERS = {"gpg": (by_gpg, "of gpg"), "sq": (by_sq, "")}


@pytest.mark.parametrize("program", MAKERS)
def test_a_key_of_another_program_is_imported_used_and_rotated(
    house: Server, users, gpg: Gpg, program: str, tmp_path: Path
) -> None:
    user = users(f"ada-{program}")
    make, passphrase = MAKERS[program]
    deliver(house, user, b"before")
    file, secret = tmp_path / "key.asc", tmp_path / "secret"
    file.write_bytes(make(gpg, user.address))
    secret.write_text("wrong one")
    options = ["--import-passphrase-file", secret] if passphrase else []
    if passphrase:
        assert user.e2email("key", "import", file).code == 4
        assert user.e2email("key", "import", file, *options).code == 4
        assert len(keys(user)) == 1
        secret.write_text(passphrase)
    ok(user.e2email("key", "import", file, *options))
    used, old = keys(user)
    assert (used["role"], old["role"]) == ("in use", "for reading")
    deliver(house, user, b"imported")
    ok(user.e2email("key", "extend", "--until", "never"))
    ok(user.e2email("key", "rotate"))
    deliver(house, user, b"rotated")
    assert subjects(user) == ["before", "imported", "rotated"]
    used, _ = keys(user)
    assert used["expires"] is None
    encrypts = [one["state"] for one in used["subkeys"] if one["state"] == "usable"]
    assert len(encrypts) == 1
    assert ok(user.e2email("reseal", "--json")).json["resealed"] == 2
    assert subjects(user) == ["before", "imported", "rotated"]


def test_ours_opens_in_gpg_what_the_sealed_face_serves(
    house: Server, users, tmp_path: Path
) -> None:
    user = users("odette")
    secret, file = tmp_path / "secret", tmp_path / "olga.asc"
    secret.write_text(STRONG)
    deliver(house, user, b"first")
    ok(user.e2email("key", "rotate"))
    deliver(house, user, b"second")
    refused = user.e2email("key", "export", "--secret", "--out", file)
    assert (refused.code, file.exists()) == (4, False)
    with_secret = ("--secret", "--export-passphrase-file", secret, "--out", file)
    ok(user.e2email("key", "export", *with_secret))
    assert user.e2email("key", "export", *with_secret).code == 9  # nothing is overwritten
    shown = ok(user.e2email("key", "show", "--json")).json
    assert (shown["role"], len(shown["words"])) == ("in use", 8)
    page = ok(user.e2email("key", "show", shown["fingerprint"][-8:])).output.decode()
    assert " ".join(shown["words"]) in page
    assert "▀" in page
    public = ok(user.e2email("key", "export")).output
    revocation = ok(user.e2email("key", "export", "--revocation")).output
    with keyring() as other:
        other.ok("--import", stdin=public)
        assert b"sec" not in other.ok("--list-secret-keys")
        phone = ("--pinentry-mode", "loopback", "--passphrase", STRONG)
        other.ok(*phone, "--import", stdin=file.read_bytes())
        client = house.imap(user)
        assert count(client) == 2
        for held, name in zip(
            literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1]),
            (b"first", b"second"),
            strict=True,
        ):
            part = message_from_bytes(held).get_payload()[1]
            body = other.ok(*phone, "--decrypt", stdin=part.get_payload().encode())
            assert b"Text " + name in body
        client.logout()
        other.ok("--import", stdin=revocation)
        assert b"revoked" in other.ok("--list-keys", user.address)


@pytest.mark.slow  # with one process: tests/client/test_own_keys.py
def test_a_key_for_reading_opens_old_mail_of_another_account(
    house: Server, users, tmp_path: Path
) -> None:
    """Mail that was sealed to a key before it came into the vault was not opened for good."""
    old, user = users("petra"), users("percy")
    secret, file = tmp_path / "secret", tmp_path / "old.asc"
    secret.write_text(STRONG)
    export = ("--secret", "--export-passphrase-file", secret, "--out", file)
    ok(old.e2email("key", "export", *export))
    options = ("--for-reading", "--import-passphrase-file", secret)
    ok(user.e2email("key", "import", file, *options))
    assert [one["role"] for one in keys(user)] == ["in use", "for reading"]
    assert user.e2email("key", "import", file, *options).code == 9
    # it is of another address: it cannot be the account's
    assert user.e2email("key", "import", file, *options[1:]).code == 9


def test_another_machine_waits_until_it_has_the_new_key(
    house: Server, users, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = users("rita")
    deliver(house, first, b"before")
    second = User(first.address, tmp_path_factory.mktemp("rita2") / "home", first.server)
    ok(second.setup("--device", "second", "--least-memory", 64))
    with second.proxy() as proxy:
        with proxy.imap() as client:
            assert eventually(lambda: count(client) == 1)
            assert online(client)
        ok(first.e2email("key", "rotate"))
        deliver(house, first, b"after")
        with proxy.imap() as client:
            assert eventually(lambda: b"account refresh" in proxy.log.read_bytes())
            # not shown before it can be read: some programs never ask again for what was NO once
            assert count(client) == 1
            status = ok(second.e2email("status", "--json")).json
            assert status["keys_behind"]
            assert status["notices"] == []
            # what is written here is sealed to the new key already
            assert client.append("Sent", None, None, MAIL % (b"sent", b"sent"))[0] == "OK"
            ok(second.e2email("account", "refresh"))
            assert eventually(lambda: count(client) == 2)

            assert b"Text after" in literals(client.uid("FETCH", "2", "(BODY.PEEK[])")[1])[0]
    assert subjects(first) == ["before", "after"]
    status = ok(second.e2email("status", "--json")).json
    assert (status["keys_behind"], status["notices"]) == (False, [])


@pytest.mark.slow  # with one process: tests/client/test_own_keys.py
def test_a_device_with_a_key_of_its_own_reads_too(
    house: Server, users, gpg: Gpg, tmp_path: Path
) -> None:
    user = users("tina")
    gpg.ok("--quick-generate-key", "Phone <phone@example.test>", "default", "default", "never")
    file = tmp_path / "phone.asc"
    file.write_bytes(gpg.ok("--armor", "--export", "phone@example.test"))
    ok(user.e2email("key", "import", file, "--recipient-only"))
    deliver(house, user, b"for both")
    assert subjects(user) == ["for both"]
    client = house.imap(user)
    assert count(client) == 1
    (held,) = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
    client.logout()
    part = message_from_bytes(held).get_payload()[1]
    assert b"Text for both" in gpg.ok("--decrypt", stdin=part.get_payload().encode())
    used, phone = keys(user)
    assert phone["role"] == "of another device"
    ok(user.e2email("key", "remove", phone["fingerprint"]))
    deliver(house, user, b"for one")
    assert subjects(user) == ["for both", "for one"]
    assert [one["fingerprint"] for one in keys(user)] == [used["fingerprint"]]


@pytest.mark.slow  # with one process: tests/client/test_own_keys.py
def test_a_revoked_key_refuses_mail_until_there_is_another(house: Server, users) -> None:
    user = users("vera")
    deliver(house, user, b"before")
    (key,) = keys(user)
    revoke = ("key", "revoke", "--reason", "compromised", "--fingerprint")
    assert user.e2email(*revoke, key["fingerprint"][::-1]).code == 7
    deliver(house, user, b"still")
    ok(user.e2email(*revoke, key["fingerprint"]))
    with house.smtp() as client:
        assert client.send(MAIL % (b"x", b"x"), [user.address])[0].startswith("550 5.7.1")
    assert user.e2email("status", "--json").json["key_revoked"]
    assert subjects(user) == ["before", "still"]
    ok(user.e2email("key", "new"))
    deliver(house, user, b"again")
    assert subjects(user) == ["before", "still", "again"]
    assert ok(user.e2email("reseal", "--json")).json["resealed"] == 2
    assert subjects(user) == ["before", "still", "again"]
