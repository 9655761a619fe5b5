"""The web key directory: which keys, under which hash, and one 404 for everything else."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from http.client import HTTPSConnection
from urllib.parse import urlsplit

import pytest

from e2email_client.api import Server, tls_context
from e2email_client.wkd import NoHost, Wkd, urls
from e2email_crypto import keyedit
from e2email_crypto.cert import inspect_cert
from e2email_crypto.packets import USER_ID, split
from e2email_protocol import account as m
from e2email_server.api.wkd import BASE, wkd_hash
from e2email_server.store.errors import RowTampered
from e2email_server.store.types import Account, Recipient
from support.account_server import (
    ALICE,
    BOB,
    NAME,
    Running,
    account_server,
    entry,
    identity,
    registration,
    stated,
)
from support.gpg import keyring

DOMAIN = "example.test"
HOSTS = (DOMAIN, f"openpgpkey.{DOMAIN}")
SALES = f"sales@{DOMAIN}"
ALIASES = {SALES: (ALICE,), f"all@{DOMAIN}": (ALICE, BOB)}
HASH = wkd_hash("alice")
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server(names=(NAME, *HOSTS), aliases=ALIASES) as made:
        await made.register()
        yield made


def ask(server: Server, path: str, host: str, method: str = "GET") -> Answer:
    connection = HTTPSConnection("127.0.0.1", server.port)
    raw = socket.create_connection(("127.0.0.1", server.port), 20)
    connection.sock = tls_context(server).wrap_socket(raw, server_hostname=server.name)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()
    finally:
        connection.close()


async def get(running: Running, path: str, host: str = HOSTS[0], method: str = "GET") -> Answer:
    return await asyncio.to_thread(ask, running.server, BASE + path, host, method)


async def keys_of(running: Running, address: str) -> bytes:
    """By the direct method; nothing where it is 404."""
    local, _, domain = address.rpartition("@")
    status, _, octets = await get(running, f"/hu/{wkd_hash(local)}?l={local}", domain)
    assert status == (200 if octets else 404)
    return octets


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("joe.doe", "iy9q119eutrkn8s1mk4r39qejnbu3n5q"),  # the draft's own example
        ("Joe.Doe", "iy9q119eutrkn8s1mk4r39qejnbu3n5q"),
    ],
)
def test_the_hash(local: str, expected: str) -> None:
    assert wkd_hash(local) == expected


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (f"/hu/{HASH}?l=alice", DOMAIN),
        (f"/hu/{HASH}?l=ALICE", f"{DOMAIN}:443".upper()),
        (f"/hu/{HASH}?l=%61lice", f"{DOMAIN}."),
        (f"/hu/{HASH}", DOMAIN),  # some do not say whom they mean
        (f"/{DOMAIN}/hu/{HASH}?l=alice", HOSTS[1]),
        (f"/{DOMAIN}/hu/{HASH}", HOSTS[1]),
        (f"/{DOMAIN}/hu/{HASH}?l=alice", "anything.example.net"),  # a proxy's name
    ],
)
async def test_both_methods(running: Running, path: str, host: str) -> None:
    status, headers, octets = await get(running, path, host)
    assert status == 200
    found = inspect_cert(octets, int(time.time()))
    assert found.fingerprint == identity(ALICE).fingerprint
    assert headers["content-type"] == "application/octet-stream"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cache-control"] == "public, max-age=300"
    head = await get(running, path, host, "HEAD")
    assert (head[0], head[2]) == (200, b"")
    assert head[1]["content-length"] == str(len(octets))


async def test_the_policy_file_is_there_for_our_domains(running: Running) -> None:
    for path, host in (("/policy", DOMAIN), (f"/{DOMAIN}/policy", HOSTS[1])):
        status, headers, octets = await get(running, path, host)
        assert (status, octets) == (200, b"")
        assert headers["access-control-allow-origin"] == "*"
    for path, host in (("/policy", "example.net"), ("/example.net/policy", HOSTS[1])):
        assert (await get(running, path, host))[0] == 404


async def test_everything_else_is_one_answer(running: Running) -> None:
    nobody = wkd_hash("nobody")
    everyone = wkd_hash("all")
    paths = [
        (f"/hu/{nobody}?l=nobody", DOMAIN),
        (f"/hu/{nobody}", DOMAIN),
        (f"/hu/{HASH}?l=nobody", DOMAIN),  # not the hash of that name
        (f"/hu/{HASH}?l=alice", "example.net"),  # no domain of ours
        (f"/{DOMAIN}/hu/{HASH[:-1]}?l=alice", DOMAIN),
        (f"/hu/{everyone}?l=all", DOMAIN),  # several people's
        (f"/hu/{wkd_hash('sales')}?l=sales", DOMAIN),  # an alias that no statement names
        (f"/hu/{wkd_hash('alice+x')}?l=alice%2Bx", DOMAIN),
        (f"/hu/{wkd_hash('postmaster')}?l=postmaster", DOMAIN),
        (f"/hu/{HASH}?l=" + "a" * 10_000, DOMAIN),
        (f"/hu/{HASH}?l=%00", DOMAIN),
        (f"/hu/{HASH}?l=alice%40{DOMAIN}", DOMAIN),
    ]
    answers = [await get(running, *path) for path in paths]
    told = {(status, tuple(sorted(headers.items())), octets) for status, headers, octets in [
        (status, {k: v for k, v in headers.items() if k != "date"}, octets)
        for status, headers, octets in answers
    ]}  # fmt: skip
    assert len(told) == 1
    assert answers[0][0] == 404
    assert answers[0][2] == b""
    assert answers[0][1]["access-control-allow-origin"] == "*"


async def test_only_ones_own_user_id(running: Running) -> None:
    key = keyedit.add_address(identity(ALICE).tsk, "private@example.org", "Alice at home", _now())
    key = keyedit.add_address(key.tsk, SALES, "Sales", _now())
    await publish(running, key, addresses=(ALICE, SALES))
    for address in (ALICE, SALES):
        octets = await keys_of(running, address)
        names = [p.body.decode() for p in split(octets, 100) if p.tag == USER_ID]
        assert len(names) == 1
        assert address in names[0]
        assert inspect_cert(octets, _now()).fingerprint == identity(ALICE).fingerprint


async def test_every_certificate_in_use(running: Running) -> None:
    second = identity(number=2)
    account, first = await newest(running)
    both = entry(before=first, certificates=(stated(identity(ALICE)), stated(second)))
    await running.accounts.publish(account, both, (identity(ALICE).cert, second.cert))
    octets = await keys_of(running, ALICE)
    assert octets.startswith(identity(ALICE).cert[:40])
    with keyring() as gpg:
        gpg.ok("--import", stdin=octets)
        shown = gpg.ok("--with-wkd-hash", "--list-keys", ALICE).decode()
        assert identity(ALICE).fingerprint in shown
        assert second.fingerprint in shown
        assert f"{HASH}@{DOMAIN}" in shown


async def test_a_revoked_certificate_is_served_as_one(running: Running) -> None:
    revoked = keyedit.revoke(identity(ALICE).tsk, keyedit.Reason.COMPROMISED, _now())
    await running.accounts.revoke((await newest(running))[0], revoked.cert)
    octets = await keys_of(running, ALICE)
    assert inspect_cert(octets, _now()).revoked
    with keyring() as gpg:
        gpg.ok("--import", stdin=octets)
        assert b"revoked" in gpg.ok("--list-keys", ALICE)


async def test_an_account_without_a_vault_here_is_published(running: Running) -> None:
    """Paranoid custody keeps the secret at home; the public key is for everybody."""
    invited = await running.accounts.invited(await running.accounts.invite(BOB), "198.51.100.1")
    await running.accounts.register(registration(BOB, vault=None, slots=()), invited)
    assert await keys_of(running, BOB)


async def test_a_disabled_account_is_not(running: Running) -> None:
    account, _ = await newest(running)
    await running.store.set_enabled(account.account_id, enabled=False)
    assert await keys_of(running, ALICE) == b""


async def test_rows_that_do_not_fit_are_told_to_the_operator_alone(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def tampered(_address: str) -> Recipient:
        raise RowTampered("certificates row 1")

    account, _ = await newest(running)
    row = await running.store.recipient(ALICE)

    async def other_keys(_address: str) -> Recipient:
        return Recipient(account, (), row.statement)

    for fault in (tampered, other_keys):
        monkeypatch.setattr(running.store, "recipient", fault)
        caplog.clear()
        assert await keys_of(running, ALICE) == b""
        assert "not given out" in caplog.text


async def test_our_own_client_finds_it(running: Running) -> None:
    asked: list[str] = []

    def dial(host: str, port: int) -> socket.socket:
        asked.append(host)
        if host == missing:
            raise NoHost
        assert port == 443
        return socket.create_connection(("127.0.0.1", running.server.port), 20)

    wkd = Wkd(tls_context(running.server), dial)
    missing = ""
    advanced = await asyncio.to_thread(wkd.look_up, ALICE)
    missing = HOSTS[1]
    direct = await asyncio.to_thread(wkd.look_up, ALICE)
    assert advanced == direct == await keys_of(running, ALICE)
    assert asked == [HOSTS[1], HOSTS[1], HOSTS[0]]
    assert await asyncio.to_thread(wkd.look_up, f"nobody@{DOMAIN}") is None


@pytest.mark.skipif(shutil.which("sq") is None, reason="sq is not installed")
@pytest.mark.parametrize("which", [("url", 0), ("direct-url", 1)])
async def test_sq_asks_where_we_answer(running: Running, which: tuple[str, int]) -> None:
    command, number = which
    url = subprocess.run(
        ["sq", "wkd", command, ALICE], capture_output=True, check=True, text=True
    ).stdout.strip()
    assert url == urls(ALICE)[number]
    parts = urlsplit(url)
    path = f"{parts.path.removeprefix(BASE)}?{parts.query}"
    assert (await get(running, path, parts.netloc))[2] == await keys_of(running, ALICE)


def _now() -> int:
    return int(time.time())


async def newest(running: Running) -> tuple[Account, bytes]:
    account = await running.store.account(ALICE)
    statements = await running.store.statements(account.account_id, 1, m.STATEMENTS_PAGE)
    return account, statements[-1].octets


async def publish(running: Running, key: keyedit.Edited, **changes: object) -> None:
    account, last = await newest(running)
    await running.accounts.publish(account, entry(before=last, **changes), (key.cert,))
