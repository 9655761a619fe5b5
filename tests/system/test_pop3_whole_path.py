"""Mail in by SMTP, sealed, and out by POP3: exact, removed where it was asked, and only there."""

import asyncio
import datetime as dt
import poplib
import ssl
from contextlib import asynccontextmanager

import pytest

from e2email_client.live import Live
from e2email_client.local import contents, mailboxes
from e2email_client.proxy import secrets, tls
from e2email_client.proxy.account import ProxyAccount
from e2email_client.proxy.passwords import passwords
from e2email_client.proxy.pop3 import Pop3Session
from e2email_client.stores import open_journal, open_opening, open_stores
from e2email_protocol.pop3.connection import Connection
from e2email_protocol.pop3.context import Settings
from e2email_protocol.pop3.errors import Refused
from e2email_protocol.serve import Face, listen
from support.system import count

PLAIN = b"From: carol@example.net\r\nSubject: breakfast\r\n\r\nEggs at nine?\r\n.\r\n..toast\r\n"
SMUGGLER = b"Subject: x\r\n\r\nhello\n.\r\n+OK 5 octets\r\nSubject: faked\r\n\r\n.\r\nend\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789.\r\n" * 50_000


class Face3:
    """POP3 over one account of a running server, in this process."""

    def __init__(self, account: ProxyAccount, port: int, context: ssl.SSLContext, password: str):
        self.account, self._port, self._context = account, port, context
        self._password = password

    def login(self) -> poplib.POP3_SSL:
        client = poplib.POP3_SSL("localhost", self._port, context=self._context, timeout=60)
        client.user(self.account.address)
        client.pass_(self._password)
        return client

    async def listed(self, messages: int) -> None:
        """Until the skeleton of so many messages is here."""
        for _ in range(600):
            local = mailboxes.named(self.account.cache, "INBOX")
            known = contents.entries(self.account.cache, local.id) if local else []
            if local and local.complete and len(known) == messages:
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the inbox was not listed")


@asynccontextmanager
async def pop3(user):
    reports: list[BaseException] = []
    unlocked = user.unlocked()
    with open_stores(unlocked) as stores:
        opening = open_opening(unlocked)
        live = Live(unlocked, stores.cache, opening, journal=open_journal(unlocked, stores))
        known = passwords(unlocked, stores.state)
        found = secrets.obtain([known], dt.datetime.now(dt.UTC))
        account = ProxyAccount(user.address, known, stores.cache, live)
        context = tls.context(found.certificate)
        face = Face(
            lambda peer: Connection(
                Pop3Session([account]), Settings(), tls=peer.tls, report=reports.append
            ),
            b"-ERR [SYS/TEMP] too many connections\r\n",
            reports.append,
            lambda: context,
            implicit=True,
        )
        listener = await listen(face, "127.0.0.1", 0)
        following = asyncio.create_task(live.run())
        trusted = ssl.create_default_context(cadata=found.certificate.authority.decode())
        try:
            yield Face3(account, listener.port, trusted, found.passwords[0])
        finally:
            following.cancel()
            await listener.close()
            await asyncio.gather(following, return_exceptions=True)
            opening.close()
    assert [error for error in reports if not isinstance(error, Refused)] == []


def mail(client: poplib.POP3, number: int) -> bytes:
    return b"\r\n".join([*client.retr(number)[1], b""])


def read_all(face: Face3) -> None:
    client = face.login()
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        face.login()
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    uids = client.uidl()[1]
    assert len(uids) == 3
    for number, sent in ((1, PLAIN), (3, LARGE)):
        octets = mail(client, number)
        assert octets.endswith(sent)
        assert octets.startswith(b"Return-Path: ")
        assert len(octets) == sizes[number - 1]
    lines = client.retr(2)[1]
    assert lines[-7:] == SMUGGLER.replace(b"\r\n", b"\n").split(b"\n")[-8:-1]
    assert client.top(3, 2)[1][-2:] == [b"0123456789."] * 2
    client.dele(2)
    client.dele(1)
    client.rset()
    client.dele(2)
    client.quit()
    client = face.login()
    assert [line.split()[1] for line in client.uidl()[1]] == [
        line.split()[1] for line in (uids[0], uids[2])
    ]
    client.dele(1)
    client.close()  # without QUIT


async def left_on_the_server(house, user, messages: int) -> None:
    """Soon after QUIT, which is answered from the journal."""
    for _ in range(200):
        sealed = house.imap(user)
        found = count(sealed)
        sealed.logout()
        if found == messages:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{found} messages, not {messages}")


async def test_mail_comes_out_as_it_came_in(house, users):
    user = users("pop")
    for one in (PLAIN, SMUGGLER, LARGE):
        house.deliver(one, user.address)
    async with pop3(user) as face:
        await face.listed(3)
        await asyncio.to_thread(read_all, face)
        await left_on_the_server(house, user, 2)


async def test_a_server_that_is_gone(house, users):
    """What was opened can be read; what QUIT removes is gone, and later on the server, too."""
    user = users("popoff")
    house.deliver(PLAIN, user.address)

    def use(face: Face3) -> None:
        client = face.login()
        assert mail(client, 1).endswith(PLAIN)
        client.dele(1)
        assert client.quit().startswith(b"+OK")
        assert face.login().stat() == (0, 0)

    def first(face: Face3) -> None:
        client = face.login()
        client.retr(1)
        client.quit()

    async with pop3(user) as face:
        await face.listed(1)
        await asyncio.to_thread(first, face)
        face.account.live._sync = None  # as run() does when the connection ends
        await asyncio.to_thread(use, face)
        await left_on_the_server(house, user, 0)
