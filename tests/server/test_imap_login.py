"""Who may come in on the sealed face, and how long a guesser waits."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from e2email_protocol.imap.errors import (
    AuthenticationFailed,
    NoSuchMailbox,
    OverQuota,
    Unavailable,
)
from e2email_server.imap.server import report
from e2email_server.imap.session import SealedSession, TooManyFailures
from e2email_server.store.errors import StoreFailed
from e2email_server.throttle import FREE_ATTEMPTS
from support.residents import resident
from support.sealed_face import House, Talk, house, talk

ALICE = b"alice@example.test"


@pytest.fixture
async def server() -> AsyncIterator[House]:
    async with house() as running:
        yield running


async def login(server: House, secret: str, user: bytes = ALICE, peer: str = "192.0.2.1") -> bytes:
    """The answer of a new connection."""
    one = Talk(server, peer)
    await one.ask()
    said = await one.ask(b"a LOGIN %b %b\r\n" % (user, secret.encode()))
    await one.connection.close()
    return said


@pytest.mark.parametrize("kind", ["app", "device"])
async def test_tokens_log_in(server: House, kind: str) -> None:
    secret = await server.password(kind=kind)
    assert b"a OK" in await login(server, secret)
    assert b"a OK" in await login(server, secret, b"Alice@Example.TEST")


async def test_authenticate_plain(server: House) -> None:
    one = Talk(server)
    await one.ask()
    secret = (await server.password()).encode()
    initial = b64encode(b"\0".join((b"", ALICE, secret)))
    assert b"a OK" in await one.ask(b"a AUTHENTICATE PLAIN " + initial + b"\r\n")


async def test_every_wrong_login_gets_the_same_answer(server: House) -> None:
    right = await server.password()
    said = {
        await login(server, secret, user, f"192.0.2.{number}")
        for number, (user, secret) in enumerate(
            [
                (ALICE, "e2a_wrong"),
                (b"nobody@example.test", right),
                (b"x" * 2000, right),
                (ALICE, '"p\u00e4ssword"'),
            ]
        )
    }
    assert said == {b"a NO [AUTHENTICATIONFAILED] wrong user name or password\r\n"}


async def test_a_token_of_somebody_else(server: House) -> None:
    await server.store.register(resident("bob@example.test").account, None)
    secret = await server.password()
    assert b"AUTHENTICATIONFAILED" in await login(server, secret, b"bob@example.test")


async def test_a_disabled_account(server: House) -> None:
    secret = await server.password()
    await server.store.set_enabled(server.account.account_id, False)
    assert b"AUTHENTICATIONFAILED" in await login(server, secret)


async def test_delays_grow_and_end(server: House) -> None:
    secret = await server.password()
    for _ in range(FREE_ATTEMPTS):
        assert b"AUTHENTICATIONFAILED" in await login(server, "wrong")
    # now even the right one waits, whichever address it comes from
    for peer in ("192.0.2.1", "198.51.100.7"):
        assert b"a NO [UNAVAILABLE] too many failed" in await login(server, secret, peer=peer)
    server.ticks.now += 1.0
    assert b"AUTHENTICATIONFAILED" in await login(server, "wrong")
    server.ticks.now += 1.0
    assert b"UNAVAILABLE" in await login(server, secret)
    server.ticks.now += 1.0
    assert b"a OK" in await login(server, secret)


async def test_a_known_address_is_not_slowed_by_strangers(server: House) -> None:
    secret = await server.password()
    assert b"a OK" in await login(server, secret, peer="198.51.100.7")
    for _ in range(FREE_ATTEMPTS):
        await login(server, "wrong")
    assert b"UNAVAILABLE" in await login(server, secret)
    assert b"a OK" in await login(server, secret, peer="198.51.100.7")


async def test_each_bad_login_of_a_connection_waits_longer_and_the_third_ends_it(
    server: House,
) -> None:
    one = Talk(server)
    await one.ask()
    for _ in range(3):
        said = await one.ask(b"a LOGIN alice@example.test wrong\r\n")
    assert one.waited == [1, 2, 3]
    assert b"* BYE" in said
    assert one.connection.closing


async def test_secrets_are_in_no_repr_and_no_report(server: House) -> None:
    secret = await server.password()
    one = Talk(server)
    await one.ask()
    await one.ask(b"a LOGIN alice@example.test %b\r\n" % secret.encode())
    await one.ask(b"a LOGIN alice@example.test e2a_canary\r\n")
    shown = [repr(one.session), *map(repr, one.reports), *map(str, one.reports)]
    assert not any(secret in text or "canary" in text for text in shown)


def test_the_log_has_the_cause_of_faults_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fault = Unavailable()
    fault.__cause__ = StoreFailed("disk I/O error")
    for everyday in (AuthenticationFailed("canary"), NoSuchMailbox("canary"), TooManyFailures()):
        report(everyday)
    assert caplog.messages == []
    report(fault)
    report(OverQuota("floor"))
    assert caplog.messages == ["imap: Unavailable: disk I/O error", "imap: OverQuota: floor"]


async def test_closing_forgets_who_it_was(server: House) -> None:
    session = SealedSession(server.backend, "192.0.2.1")
    await session.login("alice@example.test", (await server.password()).encode())
    await session.close()
    with pytest.raises(AssertionError):
        await session.list_mailboxes()


async def test_a_revoked_password_ends_what_an_open_session_may_do(server: House) -> None:
    async with talk(server, select=b"INBOX") as one, talk(server, select=b"INBOX") as other:
        (token, _) = await server.store.tokens(server.account.account_id)
        await server.store.remove_token(server.account.account_id, token.token_id)
        await server.deliver(b"Subject: new\r\n\r\n")
        server.backend.mailboxes.touch([server.account.inbox])  # as its watcher soon would
        for command in (
            b"FETCH 1 (BODY[])",
            b"STATUS INBOX (MESSAGES)",
            b'LIST "" "*"',
            b"EXPUNGE",
        ):
            assert b"EXISTS" not in await one.ask(b"a NOOP\r\n")
            assert b"a OK" not in await one.ask(b"a " + command + b"\r\n")
        # in IDLE it hears nothing, and does not spin over news that it may not have
        await one.ask(b"i IDLE\r\n")
        for _ in range(10):
            await asyncio.sleep(0)  # the watcher takes the new mail in
        assert await one.ask() == b""
        changed = asyncio.create_task(one.connection.changed())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not changed.done()
        changed.cancel()
        await one.ask(b"DONE\r\n")
        assert (await one.no(b"SELECT INBOX")).startswith(b"[EXPIRED]")
        assert b"* 1 EXISTS" in await other.ok(b"NOOP")
        await server.store.set_enabled(server.account.account_id, False)
        assert (await other.no(b"FETCH 1 (BODY[])")).startswith(b"[EXPIRED]")
