"""Old mail sealed anew: what is exchanged, what is left alone, and in what order."""

import asyncio
import time
from typing import Any

import pytest

from e2email_client.api import AccountApi
from e2email_client.device_seal import device_sealer
from e2email_client.failure import Offline, Refused
from e2email_client.fetching import syncing
from e2email_client.history import History
from e2email_client.resealing import Resealing, Tally, Wish
from e2email_client.stores import open_stores
from e2email_client.sync import silent
from e2email_client.unlock import read_statements
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import new_identity
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from e2email_protocol import account as messages
from e2email_protocol.sealed.reseal import Messages, digest
from support import sealing
from support.machine import Machine

MAIL = b"From: bob@example.net\r\nSubject: %d\r\n\r\nText %d\r\n"


class Records:
    """The server's side: what is left, and what was put in whose place."""

    def __init__(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.machine = machine
        self.put: dict[str, tuple[str, Messages]] = {}
        self.refusals: dict[str, Exception] = {}
        self.reports: list[int] = []
        monkeypatch.setattr(AccountApi, "call", lambda _, *call, **__: self.call(*call))

    def ids(self) -> list[str]:
        boxes = self.machine.remote.boxes.values()
        return [one.email_id[1:] for box in boxes for one in box.stored]

    def call(self, method: str, path: str, _: Any, body: Any = None, *__: Any) -> Any:
        if path.startswith("/v1/statements"):
            entries = read_statements(self.machine.unlocked.paths)
            return messages.Statements(tuple(entries), ())
        if method == "GET":
            return messages.RecordList(tuple(sorted(set(self.ids()) - self.put.keys())), None)
        record, _, old = path.removeprefix("/v1/records/").partition("?old=")
        if record in self.refusals:
            raise self.refusals[record]
        self.put[record] = old, Messages.decode(body)
        return messages.Nothing()

    def run(self, *, synced: bool = True, **wish: Any) -> Tally:
        return asyncio.run(self._run(Wish(**wish), synced))

    async def _run(self, wish: Wish, synced: bool) -> Tally:
        unlocked = self.machine.unlocked
        history = History(unlocked)
        sealer = device_sealer(unlocked, history)
        assert sealer is not None
        with open_stores(unlocked) as stores:
            if synced:
                async with syncing(unlocked, stores, silent) as sync:
                    await sync.catch_up_all()
            report = lambda tally: self.reports.append(tally.done)  # noqa: E731
            return await Resealing(unlocked, stores.cache, history, sealer, report).run(wish)


@pytest.fixture
def records(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Records:
    machine.patch(monkeypatch)
    return Records(machine, monkeypatch)


def test_each_is_exchanged_once_for_what_opens_to_the_same(
    machine: Machine, records: Records
) -> None:
    mails = [MAIL % (n, n) for n in range(3)]
    made = [machine.record(mail) for mail in mails]
    for record in made:
        machine.put(record)
        machine.put(record, "Archive")  # a copy is the same record
    tally = records.run()
    assert (tally.pending, tally.listed, tally.resealed) == (3, 3, 3)
    assert (tally.skipped, tally.unopened, tally.done) == (0, [], 3)
    assert records.reports[-1] == 3
    with OpenWorker(machine.unlocked.vault.identities[0].tsk) as worker:
        for record in made:
            old, new = records.put[record.record_id.hex()]
            assert old == digest(record.envelope).hex()
            pairs = ((record.envelope, new.envelope), (record.body, new.body))
            for before, after in pairs:
                assert before != after
                assert worker.open(before).plaintext == worker.open(after).plaintext


def test_what_moved_on_is_skipped(machine: Machine, records: Records) -> None:
    machine.deliver(*(MAIL % (n, n) for n in range(4)))
    first, second, *_ = records.ids()
    records.refusals = {first: Refused("conflict", "no"), second: Refused("not-found", "no")}
    gone = machine.remote.boxes["INBOX"].stored

    def vanish() -> None:
        del gone[-1:]
        machine.remote.before_bodies = lambda: None

    machine.remote.before_bodies = vanish
    tally = records.run()
    assert (tally.pending, tally.resealed, tally.skipped, tally.unopened) == (4, 1, 3, [])


@pytest.mark.parametrize("fault", [Refused("record-refused", "no"), Offline("no line")])
def test_another_refusal_ends_the_run_and_what_was_done_stays(
    machine: Machine, records: Records, fault: Exception
) -> None:
    machine.deliver(*(MAIL % (n, n) for n in range(3)))
    records.refusals = {records.ids()[0]: fault}  # the oldest comes last
    with pytest.raises(type(fault)):
        records.run()
    assert len(records.put) == 2
    records.refusals.clear()
    assert records.run().resealed == 1


def test_what_does_not_open_is_told_and_left(machine: Machine, records: Records) -> None:
    uid, _ = machine.deliver_unreadable()
    stranger = recipient(
        new_identity("mallory@example.test", "", int(time.time())).cert, int(time.time())
    )

    class TwoKeys(sealing.RealSealer):
        def seal(self, plaintext: bytes) -> bytes:
            return seal(plaintext, [machine.recipient, stranger])

        @property
        def key_ids(self) -> frozenset[str]:
            return machine.recipient.key_ids | stranger.key_ids

    sealer = TwoKeys(machine.recipient, machine.arrival)
    read_by_two = sealing.composed(MAIL % (7, 7), sealer, record_id=bytes(15) + b"\x77")
    other = machine.put(read_by_two)
    machine.deliver(MAIL % (1, 1))
    tally = records.run()
    assert tally.resealed == 1
    assert {one.uid for one in tally.unopened} == {uid, other}
    assert "not the account's" in next(one.why for one in tally.unopened if one.uid == other)
    assert read_by_two.record_id.hex() not in records.put


def test_limit_order_and_dry_run(machine: Machine, records: Records) -> None:
    machine.deliver(*(MAIL % (n, n) for n in range(5)))
    ids = records.ids()
    tally = records.run(dry_run=True)
    assert (tally.pending, tally.listed, tally.resealed, records.put) == (5, 5, 0, {})
    assert records.run(limit=2).resealed == 2
    assert set(records.put) == set(ids[-2:])
    assert records.run(limit=1, oldest=True).resealed == 1
    assert set(records.put) == {ids[0], *ids[-2:]}
    tally = records.run()
    assert (tally.pending, tally.resealed) == (2, 2)


def test_what_is_not_listed_here_is_left_for_the_next_run(
    machine: Machine, records: Records
) -> None:
    machine.deliver(MAIL % (1, 1))
    tally = records.run(synced=False)
    assert (tally.pending, tally.listed, tally.resealed) == (1, 0, 0)
