"""Sealing for an account, here and in worker processes, which may die."""

import asyncio
import os
import secrets
import signal
import socket
import threading
from dataclasses import replace

import pytest

from e2email_crypto import gate, seal
from e2email_crypto.errors import SealFailed
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.record import Form, Policy
from e2email_server.sealing import child, frames, job
from e2email_server.sealing.job import AccountSealer, Job
from e2email_server.sealing.pool import INLINE, WORKERS, Sealing, is_quick
from support.corpus import messages
from support.residents import ARRIVAL_KEY, CREATED, resident
from support.sealing import armored, encrypted_mail

TRACE = b"Return-Path: <>\r\nReceived: from x ([192.0.2.1]) by y with ESMTP\r\n\tid 1; z\r\n"
MAIL = b"Subject: hello\r\n\r\nbody\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 20_000 + b"\r\n"


def make_job(received: bytes = MAIL, who: str = "alice@example.test", **changes: object) -> Job:
    owner = resident(who)
    key = gate.recipient(owner.identity.cert, CREATED + 100)
    made = Job(
        TRACE,
        received,
        owner.address,
        secrets.token_bytes(16),
        secrets.token_hex(16).encode(),
        Policy.SEALED,
        Arrival("smtp", "TLSv1.3", CREATED + 100),
        (key,),
        owner.stated.key_ids,
    )
    return replace(made, **changes)


@pytest.fixture
def sealing():
    pool = Sealing(ARRIVAL_KEY)
    yield pool
    pool.close()


@pytest.mark.parametrize("received", [MAIL, LARGE, b"", b"\0\n\r" * 30_000], ids=len)
async def test_what_is_sealed_can_be_read_by_its_owner(sealing: Sealing, received: bytes) -> None:
    work = make_job(received)
    record = await sealing.seal(work)
    assert record.record_id == work.record_id
    opened = resident().open(record)
    assert opened.delivered == TRACE + received
    assert opened.envelope.envelope.arrival == work.arrival
    for stored in (record.body, record.envelope, record.outer):
        assert received[:16] not in stored or not received


async def test_small_mail_needs_no_worker(sealing: Sealing) -> None:
    await sealing.seal(make_job(MAIL))
    assert [worker.pid for worker in sealing.workers] == [None] * WORKERS
    await sealing.seal(make_job(LARGE))
    assert sum(worker.pid is not None for worker in sealing.workers) == 1


HOSTILE = {
    "boundaries": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * 10_000,
    "fields": b"a:\r\n" * 15_000 + b"\r\nbody\r\n",
    "one field": b"Content-Type: text/plain; " + b"hp " * 20_000 + b"\r\n\r\nbody\r\n",
}


@pytest.mark.parametrize("shape", HOSTILE)
async def test_small_mail_made_to_take_long_holds_up_nobody(sealing: Sealing, shape: str) -> None:
    assert len(HOSTILE[shape]) <= INLINE
    record = await sealing.seal(make_job(HOSTILE[shape]))
    assert resident().open(record).delivered == TRACE + HOSTILE[shape]
    assert sum(worker.pid is not None for worker in sealing.workers) == 1


def test_what_people_send_is_quick() -> None:
    slow = [name for name, mail in messages() if len(mail) <= INLINE and not is_quick(mail)]
    assert len(slow) <= sum(1 for _ in messages()) // 50, slow


async def test_there_are_never_more_workers(sealing: Sealing) -> None:
    records = await asyncio.gather(*(sealing.seal(make_job(LARGE)) for _ in range(6)))
    assert len({record.record_id for record in records}) == 6
    assert sum(worker.pid is not None for worker in sealing.workers) <= WORKERS


async def test_the_form_survives_the_worker(sealing: Sealing) -> None:
    owner = resident("bob@example.test")
    key = gate.recipient(owner.identity.cert, CREATED + 100)
    mail = encrypted_mail(armored(seal.seal(LARGE, [key])))
    work = make_job(mail, owner.address, policy=Policy.BASELINE)
    record = await sealing.seal(work)
    assert record.form is Form.VERBATIM
    assert record.body == TRACE + work.received
    other = make_job(work.received, policy=Policy.BASELINE)
    assert (await sealing.seal(other)).form is Form.SEALED  # it names nobody here


# --- workers die ----------------------------------------------------------------------------


async def until_started(sealing: Sealing) -> int:
    while True:
        for worker in sealing.workers:
            if worker.pid is not None:
                return worker.pid
        await asyncio.sleep(0.001)


async def test_a_killed_worker_fails_its_mail_and_the_next_one_passes(sealing: Sealing) -> None:
    task = asyncio.create_task(sealing.seal(make_job(LARGE)))
    os.kill(await until_started(sealing), signal.SIGKILL)
    with pytest.raises(SealFailed, match="died"):
        await task
    assert resident().open(await sealing.seal(make_job(LARGE))).delivered == TRACE + LARGE


async def test_a_worker_that_died_while_idle_is_replaced(sealing: Sealing) -> None:
    await sealing.seal(make_job(LARGE))
    pid = await until_started(sealing)
    os.kill(pid, signal.SIGKILL)
    while True:
        try:  # the first may meet the death itself
            await sealing.seal(make_job(LARGE))
            break
        except SealFailed:
            continue
    assert await until_started(sealing) != pid


async def test_a_worker_that_takes_too_long_is_ended() -> None:
    sealing = Sealing(ARRIVAL_KEY, deadline=0.3)
    task = asyncio.create_task(sealing.seal(make_job(LARGE)))
    os.kill(await until_started(sealing), signal.SIGSTOP)
    with pytest.raises(SealFailed, match="late"):
        await task
    sealing.close()


async def test_nonsense_from_a_worker_is_not_a_record(
    sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make_job(LARGE)
    record = await sealing.seal(work)
    good = frames.pack_record(record)
    for head in (
        {"id": "00" * 16},
        {**good[0], "id": "00" * 16},
        {**good[0], "form": "clear"},
        {**good[0], "boundary": "x y"},
        {**good[0], "version": 99},
    ):
        monkeypatch.setattr(child, "receive", lambda sock, head=head: (head, *good[1:]))
        with pytest.raises(SealFailed):
            await sealing.seal(work)


async def test_who_gives_up_leaves_the_worker_in_order(sealing: Sealing) -> None:
    task = asyncio.create_task(sealing.seal(make_job(LARGE)))
    await until_started(sealing)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    work = make_job(LARGE)
    assert (await sealing.seal(work)).record_id == work.record_id


async def test_a_mail_that_cannot_be_sealed_does_not_end_the_worker(sealing: Sealing) -> None:
    await sealing.seal(make_job(LARGE))
    pid = await until_started(sealing)
    with pytest.raises(SealFailed, match="could not be sealed"):
        await sealing.seal(make_job(LARGE, keys=()))
    await sealing.seal(make_job(LARGE))
    assert await until_started(sealing) == pid


# --- whom it is sealed to -------------------------------------------------------------------


async def test_keys_that_are_not_used_are_not_forgiven(sealing: Sealing) -> None:
    work = make_job()
    (key,) = work.keys
    lying = replace(key, key_ids=frozenset({"0123456789ABCDEF"}))
    for received in (MAIL, LARGE):
        with pytest.raises(SealFailed):
            await sealing.seal(replace(work, received=received, keys=(lying,)))


def test_the_sealer_reads_packets_and_never_fails() -> None:
    work = make_job()
    sealer = AccountSealer(work.keys, work.known_key_ids, ARRIVAL_KEY)
    message = sealer.seal(b"x")
    ids = resident().stated.key_ids
    assert sealer.key_ids == sealer.message_key_ids(message) == ids
    assert sealer.message_key_ids(b"\r\n" + armored(message) + b"\r\n") == ids
    for bad in (
        b"",
        b"x",
        message[:-1],
        message + b"x",
        b"-----BEGIN PGP MESSAGE-----\r\n",
        b"\xff",
    ):
        assert sealer.message_key_ids(bad) == frozenset()


def test_jobs_and_records_cross_unchanged() -> None:
    work = make_job(policy=Policy.BASELINE)
    assert frames.unpack_job(frames.pack_job(work)) == work
    record = job.run(work, ARRIVAL_KEY)
    assert frames.unpack_record(frames.pack_record(record)) == record


def test_what_holds_mail_or_secrets_does_not_show_it(sealing: Sealing) -> None:
    work = make_job(b"canary")
    sealer = AccountSealer(work.keys, work.known_key_ids, ARRIVAL_KEY)
    seed = ARRIVAL_KEY.seed
    for thing in (work, sealer, sealing.workers[0]):
        text = repr(thing)
        assert "canary" not in text
        assert repr(seed) not in text
        assert seed.hex() not in text


def test_frames_of_every_size_arrive_whole() -> None:
    for first, second in ((b"", b""), (b"a", b""), (b"", b"b" * 3_000_000)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sending = threading.Thread(target=frames.send, args=(ours, {"n": 1}, first, second))
            sending.start()
            assert frames.receive(theirs) == ({"n": 1}, first, second)
            sending.join()
            ours.sendall(b"\0" * 10)
            ours.close()
            with pytest.raises(frames.Closed):
                frames.receive(theirs)
