"""Much at once: an attachment of 25 MB, and one mail to fifty people."""

import base64
import hashlib
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from e2email_protocol.sealed.record import Record
from e2email_server import config
from e2email_server.parts import Parts, open_parts
from support.residents import resident
from support.system import Server, count, eventually, literal

T = TypeVar("T")

MEGABYTES = 25
PEOPLE = 50


def large_mail() -> bytes:
    """34 MB: the attachment is random, since nothing may count on its being compressible."""
    attachment = random.Random(1).randbytes(MEGABYTES * 1_000_000)  # any octets, always the same
    return (
        b"From: Carol <carol@example.net>\r\nSubject: pictures\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nSee below.\r\n--b\r\n'
        b'Content-Type: image/tiff; name="all.tiff"\r\nContent-Transfer-Encoding: base64\r\n'
        b"Content-Disposition: attachment\r\n\r\n"
        + base64.encodebytes(attachment).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


def test_an_attachment_of_25_mb(house: Server, users, tmp_path: Path) -> None:
    mail = large_mail()
    user = users("large")
    house.deliver(mail, user.address)
    assert user.sync()["opened"] == 1
    done = user.e2email("export", tmp_path, "--received", "--mailbox", "INBOX")
    assert done.code == 0, done.error
    assert same((tmp_path / "INBOX" / "1.eml").read_bytes(), mail)
    with user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: count(client) == 1)
        view = literal(client.uid("FETCH", "1", "(BODY.PEEK[])")[1])
        assert same(view[-len(mail) :], mail)
        part = literal(client.uid("FETCH", "1", "(BODY.PEEK[2]<1000000.5000>)")[1])
        start = mail.index(b"attachment\r\n\r\n") + len(b"attachment\r\n\r\n") + 1_000_000
        assert part == mail[start : start + 5000]


def same(one: bytes, other: bytes) -> bool:
    """Without pytest's comparison of 34 MB."""
    return hashlib.sha256(one).digest() == hashlib.sha256(other).digest()


async def with_parts(house: Server, work: Callable[[Parts], Awaitable[T]]) -> T:
    """`work` on the store of a server that does not run."""
    async with AsyncExitStack() as stack:
        return await work(await open_parts(config.load(house.config), stack))


async def test_one_mail_to_fifty_people(tmp_path: Path) -> None:
    """One transaction; each has a record of their own, opened with their own key."""
    house = Server(tmp_path / "server")
    people = [
        resident(f"user{number}@example.test", ("sealed", "baseline")[number % 2])
        for number in range(PEOPLE)
    ]

    async def register(parts: Parts) -> None:
        for one in people:
            await parts.store.register(one.account, None)

    async def records(parts: Parts) -> list[Record]:
        found = []
        for person in people:
            account = await parts.store.account(person.address)
            (message,) = await parts.store.messages(account.inbox, [1, 2])
            head = message.head
            body = await parts.store.body(account.inbox, 1, 0, head.body_size)
            found.append(Record(*(getattr(head, one.name) for one in fields(head)), body))
        return found

    await with_parts(house, register)
    mail = b"From: Carol <carol@example.net>\r\nSubject: all\r\n\r\n" + b"Hello, all.\r\n" * 20_000
    house.start()
    try:
        house.deliver(mail, *(one.address for one in people))
    finally:
        house.stop()
    stored = await with_parts(house, records)
    assert len({record.record_id for record in stored}) == PEOPLE
    assert len({record.body for record in stored}) == PEOPLE
    for one, record in zip(people, stored, strict=True):
        assert same(one.open(record).delivered[-len(mail) :], mail), one.address
