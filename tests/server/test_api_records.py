"""Resealing over the account API: what is left, the exchange, and everything that stops it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from http.client import HTTPSConnection

import pytest

from e2email_client.api import Login, tls_context
from e2email_client.failure import Offline, Refused
from e2email_crypto import keyedit
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.gate import recipient
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from e2email_protocol import account as m
from e2email_protocol.sealed.record import Policy, Record
from e2email_protocol.sealed.render import rendered_sizes
from e2email_protocol.sealed.reseal import Messages, digest, resealed
from e2email_server.api import records as records_api
from e2email_server.smtp.limits import Limits
from e2email_server.store.memory import MemoryStore
from e2email_server.store.types import NewMessage
from support.account_server import (
    ALICE,
    BOB,
    Running,
    account_server,
    entry,
    identity,
    split,
    stated,
)
from support.sealing import ARRIVED, RealOpener, RealSealer, armored, composed, encrypted_mail

ALICES = Login.afresh(ALICE, split().auth)
BOBS = Login.afresh(BOB, split(BOB).auth)
MAIL = b"From: bob@example.net\r\nSubject: x\r\n\r\nhi\r\n"
SERVER = ArrivalKey.generate()


def key_of(number: int) -> keyedit.Identity:
    """The first, with which she registered, or a later one."""
    return identity(ALICE) if number == 1 else identity(number=number)


def sealer(number: int) -> RealSealer:
    return RealSealer(recipient(key_of(number).cert, int(time.time())), SERVER)


@dataclass
class Rotated:
    """An account that gave its first key up for a second, and what it had been sent before."""

    running: Running
    opener: RealOpener
    room: list[bool]

    async def store(self, *records: Record) -> None:
        inbox = (await self.running.store.account(ALICE)).inbox
        await self.running.store.deliver(
            [NewMessage(inbox, one, *rendered_sizes(one), ARRIVED.time) for one in records]
        )

    async def left(self, login: Login = ALICES, after: str = "") -> m.RecordList:
        path = "/v1/records?sealed-to=other" + (f"&after={after}" if after else "")
        api = self.running.api
        return await asyncio.to_thread(api.call, "GET", path, m.RecordList, login=login)

    async def put(
        self, record: Record, octets: bytes, old: bytes | None = None, login: Login = ALICES
    ) -> None:
        name = digest(record.envelope) if old is None else old
        path = f"/v1/records/{record.record_id.hex()}?old={name.hex()}"
        await asyncio.to_thread(self.running.api.call, "PUT", path, m.Nothing, octets, login)

    def resealed(self, record: Record, number: int = 2) -> Messages:
        return resealed(record, account=ALICE, opener=self.opener, sealer=sealer(number))

    async def held(self, record: Record) -> Record:
        account = await self.running.store.account(ALICE)
        found = (await self.running.store.held(account.account_id, record.record_id)).message
        (one,) = await self.running.store.messages(account.inbox, [found.entry.uid], bodies=True)
        assert one.body is not None
        names = ("record_id", "form", "version", "policy", "outer", "boundary", "envelope")
        values = {name: getattr(one.head, name) for name in names}
        held = Record(crc=one.head.crc, body_size=len(one.body), body=one.body, **values)
        assert (found.entry.size, found.entry.header_size) == rendered_sizes(held)
        return held


@pytest.fixture
async def rotated() -> AsyncIterator[Rotated]:
    room = [True]
    store = MemoryStore(room=lambda: room[0])
    async with account_server(store=store) as running:
        await running.register()
        await running.register(BOB)
        account = await store.account(ALICE)
        (first,) = await store.statements(account.account_id, 1, 9)
        later = key_of(2)
        second = entry(before=first.octets, certificates=(stated(later),))
        await running.accounts.publish(account, second, (later.cert,))
        ids = tuple(sealer(number).key_ids for number in (1, 2))
        with OpenWorker(*(key_of(number).tsk for number in (1, 2))) as worker:
            opener = RealOpener(worker, ids[0] | ids[1], SERVER.public, stated=ids)
            yield Rotated(running, opener, room)
    assert running.memory.used == 0


async def test_what_is_left_is_resealed_until_nothing_is(rotated: Rotated) -> None:
    old = [composed(MAIL, sealer(1), record_id=bytes([n]) * 16) for n in (3, 1)]
    new = composed(MAIL, sealer(2), record_id=bytes([2]) * 16)
    await rotated.store(old[0], new, old[1])
    page = await rotated.left()
    assert page == m.RecordList(("01" * 16, "03" * 16), None)
    made = rotated.resealed(old[0])
    await rotated.put(old[0], made.encode())
    held = await rotated.held(old[0])
    assert (held.envelope, held.body) == (made.envelope, made.body)
    for name in ("form", "version", "policy", "outer", "boundary"):
        assert getattr(held, name) == getattr(old[0], name)
    assert (await rotated.left()).records == ("01" * 16,)
    await rotated.put(old[1], rotated.resealed(old[1]).encode())
    assert (await rotated.left()).records == ()


async def test_a_device_may(rotated: Rotated) -> None:
    asked = m.TokenRequest("device", "laptop", ("read", "write"))
    api = rotated.running.api
    made = await asyncio.to_thread(api.call, "POST", "/v1/tokens", m.NewToken, asked, ALICES)
    record = composed(MAIL, sealer(1))
    await rotated.store(record)
    device = Login.device(made.token)
    assert (await rotated.left(device)).records == (record.record_id.hex(),)
    await rotated.put(record, rotated.resealed(record).encode(), login=device)
    assert (await rotated.left(device)).records == ()


async def test_the_list_has_pages(rotated: Rotated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_api, "RECORDS_PAGE", 2)
    ids = [bytes([n]) * 16 for n in range(5)]
    await rotated.store(
        *(composed(MAIL, sealer(1 if n in (0, 4) else 2), record_id=ids[n]) for n in range(5))
    )
    found, pages, after = [], 0, ""
    while True:
        page = await rotated.left(after=after)
        found, pages = [*found, *page.records], pages + 1
        if page.after is None:
            break
        after = page.after
    assert (found, pages) == ([ids[0].hex(), ids[4].hex()], 3)


async def test_of_a_verbatim_record_only_the_envelope(rotated: Rotated) -> None:
    mail = encrypted_mail(armored(seal(b"\r\nhi\r\n", [sealer(1).recipient])))
    record = composed(mail, sealer(1), policy=Policy.BASELINE)
    await rotated.store(record)
    made = rotated.resealed(record)
    with pytest.raises(Refused) as caught:
        await rotated.put(record, made.encode() + b"another body")
    assert caught.value.code == "record-refused"
    await rotated.put(record, made.encode())
    held = await rotated.held(record)
    assert (held.envelope, held.body, held.crc) == (made.envelope, record.body, 0)
    assert (await rotated.left()).records == ()


async def test_a_form_that_was_exchanged_is_not_exchanged_again(rotated: Rotated) -> None:
    record = composed(MAIL, sealer(1))
    await rotated.store(record)
    made, other = rotated.resealed(record), rotated.resealed(record)
    await rotated.put(record, made.encode())
    for again in (made, other):
        with pytest.raises(Refused) as caught:
            await rotated.put(record, again.encode())
        assert caught.value.code == "conflict"
    assert (await rotated.held(record)).envelope == made.envelope


async def test_other_keys_than_the_newest_statements_are_refused(rotated: Rotated) -> None:
    record = composed(MAIL, sealer(1))
    await rotated.store(record)
    good = rotated.resealed(record)
    both = [sealer(number).recipient for number in (1, 2)]
    plain = rotated.opener.open(record.body, 1 << 20).plaintext
    wrong = [
        Messages(record.envelope, good.body),
        Messages(good.envelope, record.body),
        Messages(good.envelope, seal(plain, both)),
        Messages(good.envelope, b""),
        Messages(good.envelope, b"not a message"),
        Messages(b"not a message", good.body),
        Messages(good.envelope, good.body + b"?"),
    ]
    for one in wrong:
        with pytest.raises(Refused) as caught:
            await rotated.put(record, one.encode())
        assert caught.value.code == "record-refused"
    assert (await rotated.held(record)).envelope == record.envelope


async def test_another_account_has_no_such_record(rotated: Rotated) -> None:
    record = composed(MAIL, sealer(1))
    await rotated.store(record)
    assert (await rotated.left(BOBS)).records == ()
    for login, code in ((BOBS, "not-found"), (Login.device("e2d_" + "0" * 32), "login-refused")):
        with pytest.raises(Refused) as caught:
            await rotated.put(record, rotated.resealed(record).encode(), login=login)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "path",
    [
        "/v1/records",
        "/v1/records?sealed-to=newest",
        "/v1/records?sealed-to=other&after=1",
        "/v1/records?sealed-to=other&after=" + "A" * 32,
    ],
)
async def test_questions_out_of_form(rotated: Rotated, path: str) -> None:
    with pytest.raises(Refused) as caught:
        await asyncio.to_thread(rotated.running.api.call, "GET", path, m.RecordList, login=ALICES)
    assert caught.value.code == "bad-request"


async def test_without_usable_keys_there_is_nothing_to_seal_to(rotated: Rotated) -> None:
    account = await rotated.running.store.account(ALICE)
    certificates = (await rotated.running.store.recipient(ALICE)).certificates
    cut = replace(certificates[0], octets=certificates[0].octets[:-1])
    await rotated.running.store.revise(account.account_id, cut)
    with pytest.raises(Refused) as caught:
        await rotated.left()
    assert caught.value.code == "certificate-refused"


async def test_a_full_disk_and_full_memory_are_for_later(rotated: Rotated) -> None:
    record = composed(MAIL, sealer(1))
    await rotated.store(record)
    made = rotated.resealed(record).encode()
    rotated.room[0] = False
    with pytest.raises(Offline):
        await rotated.put(record, made)
    rotated.room[0] = True
    rotated.running.memory.used += Limits().memory  # by mail that arrives
    status, headers, _ = await asyncio.to_thread(raw, rotated.running, record, made, len(made))
    assert (status, headers["retry-after"]) == (503, str(records_api.LATER_SECONDS))
    rotated.running.memory.used -= Limits().memory
    await rotated.put(record, made)


async def test_bodies_out_of_form(rotated: Rotated) -> None:
    record = composed(MAIL, sealer(1))
    await rotated.store(record)
    made = rotated.resealed(record).encode()
    cap = records_api._cap(record)
    cases: list[tuple[bytes, int | None, str, int]] = [
        (made, None, "application/octet-stream", 400),  # no length
        (made, cap + 1, "application/octet-stream", 413),
        (made, len(made), "application/json", 415),
        (made[:3], 3, "application/octet-stream", 400),
        (b"", 0, "application/octet-stream", 400),
    ]
    for octets, length, kind, status in cases:
        args = rotated.running, record, octets, length, kind
        assert (await asyncio.to_thread(raw, *args))[0] == status, (length, kind)
    path = f"/v1/records/{record.record_id.hex()}"
    for bad in (path, f"{path}?old=00", "/v1/records/00?old=" + "0" * 64):
        with pytest.raises(Refused) as caught:
            api = rotated.running.api
            await asyncio.to_thread(api.call, "PUT", bad, m.Nothing, made, ALICES)
        assert caught.value.code == "bad-request"
    assert (await rotated.held(record)).envelope == record.envelope


def raw(
    running: Running,
    record: Record,
    octets: bytes,
    length: int | None,
    kind: str = "application/octet-stream",
) -> tuple[int, dict[str, str], bytes]:
    """A PUT whose Content-Length is as given; None: in chunks."""
    connection = HTTPSConnection(
        "127.0.0.1", running.server.port, timeout=20, context=tls_context(running.server)
    )
    connection._context.check_hostname = False  # type: ignore[attr-defined]
    try:
        old = digest(record.envelope).hex()
        connection.putrequest("PUT", f"/v1/records/{record.record_id.hex()}?old={old}")
        connection.putheader("Authorization", ALICES.header)
        connection.putheader("Content-Type", kind)
        if length is None:
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(b"%x\r\n%b\r\n0\r\n\r\n" % (len(octets), octets))
        else:
            connection.putheader("Content-Length", str(length))
            connection.endheaders(octets)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()
    finally:
        connection.close()


async def test_of_one_account_one_page_is_read_at_a_time(
    rotated: Rotated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page holds up to 32 MiB of envelopes."""
    store, going, most = rotated.running.store, [0], [0]
    real = store.envelopes

    async def envelopes(*arguments: object) -> object:
        going[0] += 1
        most[0] = max(most[0], going[0])
        await asyncio.sleep(0.02)
        going[0] -= 1
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "envelopes", envelopes)
    device = await rotated.running.accounts.new_token(
        await store.account(ALICE), m.TokenRequest(m.DEVICE, "one", m.SCOPES)
    )
    # few: client and server share a pool of threads here
    await asyncio.gather(*(rotated.left(Login.device(device.token)) for _ in range(3)))
    assert most == [1]
