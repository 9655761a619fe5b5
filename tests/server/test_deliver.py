"""From SMTP to the store and back: each recipient reads the whole mail, or nobody was told 250."""

import asyncio
import os
import signal
import sqlite3
from dataclasses import replace

import pytest

from e2email_crypto.errors import OpenFailed
from e2email_crypto.keyedit import Reason
from e2email_crypto.keyedit import revoke as revoke_key
from e2email_crypto.packets import message_key_ids
from e2email_crypto.statement import Entry
from e2email_crypto.statement import Policy as StatedPolicy
from e2email_protocol.address import Address
from e2email_protocol.sealed.record import Policy
from e2email_protocol.sealed.render import parse_rendered, render
from e2email_server.smtp.delivery import Arrival, Mail, Refusal
from e2email_server.store.errors import DiskFull, StoreFailed
from e2email_server.store.types import Statement
from support import corpus
from support.residents import CREATED, Resident, resident
from support.smtp_dialog import Peer
from support.world import ALICE, BOB, CAROL, living

MAIL = b"From: canary-from@sender.test\r\nSubject: canary-subject\r\n\r\ncanary-body\r\n"
LARGE = b"Subject: canary-subject\r\n\r\n" + b"canary-body-0123\r\n" * 20_000
STORE_FAILED = Refusal.FAILED.reply.decode()


@pytest.fixture
async def world(tmp_path):
    async with living(tmp_path) as world:
        yield world


async def send(world, content, *recipients) -> str:
    peer = await Peer.connect(world.server, greeted=True)
    reply = await peer.mail(content, *recipients)
    await peer.close()
    return reply


@pytest.mark.parametrize("content", [MAIL, LARGE], ids=["small", "large"])
async def test_two_recipients_each_read_it_whole(world, content):
    assert (await send(world, content, ALICE, BOB)).startswith("250 2.0.0 ")
    assert await world.read(ALICE) == [content]
    assert await world.read(BOB) == [content]
    (for_alice,), (for_bob,) = await world.records(ALICE), await world.records(BOB)
    assert for_alice.record_id != for_bob.record_id
    assert for_alice.body != for_bob.body
    with pytest.raises(OpenFailed):
        resident(ALICE).open(for_bob)


async def test_what_is_stored_is_its_own_rendering(world):
    await send(world, MAIL, ALICE)
    (record,) = await world.records(ALICE)
    rendered = render(record)
    assert parse_rendered(rendered.read(0, rendered.size)) == record


async def test_one_account_gets_it_once(world):
    names = (ALICE, "alice+x@example.test", "ALICE@example.test", "team@example.test")
    assert (await send(world, MAIL, *names)).startswith("250")
    assert await world.read(ALICE) == [MAIL]
    assert await world.read(BOB) == [MAIL]


async def test_the_fields_in_front(world):
    await send(world, MAIL, "Alice+tag@example.test")
    (record,) = await world.records(ALICE)
    opened = resident(ALICE).open(record)
    front = opened.delivered.removesuffix(opened.received)
    assert front.startswith(b"Return-Path: <s@sender.test>\r\nReceived: from there ([127.0.0.1])")
    assert b"\tfor <Alice+tag@example.test>;" in front


async def test_only_the_one_without_a_key_is_refused(world):
    peer = await Peer.connect(world.server, greeted=True)
    assert (await peer.ask("MAIL FROM:<s@sender.test>")).startswith("250")
    assert (await peer.ask(f"RCPT TO:<{ALICE}>")).startswith("250")
    assert (await peer.ask(f"RCPT TO:<{CAROL}>")).startswith("450 4.7.5")
    assert (await peer.ask(f"RCPT TO:<{BOB}>")).startswith("250")
    assert (await peer.ask("DATA")).startswith("354")
    await peer.send(MAIL + b".\r\n")
    assert (await peer.line()).startswith("250")
    await peer.close()
    assert await world.read(ALICE) == await world.read(BOB) == [MAIL]
    assert await world.records(CAROL) == []


def publish_nothing(folder, address):
    """Another hand takes the certificates out of the database."""
    with sqlite3.connect(folder / "mail.db") as db:
        db.execute(
            "DELETE FROM certificates WHERE account_id ="
            " (SELECT id FROM accounts WHERE address = ?)",
            (address,),
        )


async def test_a_key_that_vanishes_before_the_data(world, tmp_path):
    peer = await Peer.connect(world.server, greeted=True)
    await peer.ask("MAIL FROM:<s@sender.test>")
    assert (await peer.ask(f"RCPT TO:<{ALICE}>")).startswith("250")
    assert (await peer.ask(f"RCPT TO:<{BOB}>")).startswith("250")
    publish_nothing(tmp_path, BOB)
    await peer.ask("DATA")
    await peer.send(MAIL + b".\r\n")
    assert await peer.line() == STORE_FAILED
    assert (await peer.mail(MAIL, BOB)).startswith("450 4.7.5")
    await peer.ask("RSET")
    assert await world.records(ALICE) == await world.records(BOB) == []
    assert (await peer.mail(MAIL, ALICE)).startswith("250")
    await peer.close()


async def test_an_account_disabled_before_the_data(world):
    peer = await Peer.connect(world.server, greeted=True)
    await peer.ask("MAIL FROM:<s@sender.test>")
    assert (await peer.ask(f"RCPT TO:<{ALICE}>")).startswith("250")
    assert (await peer.ask(f"RCPT TO:<{BOB}>")).startswith("250")
    await world.store.set_enabled((await world.store.account(BOB)).account_id, False)
    await peer.ask("DATA")
    await peer.send(MAIL + b".\r\n")
    # not 5xx: alice is to have her mail when the sender comes again
    assert await peer.line() == STORE_FAILED
    await peer.close()
    assert await world.records(ALICE) == []


async def test_a_certificate_put_in_by_sql_stops_mail_and_leaks_nothing(world, tmp_path):
    assert (await send(world, MAIL, ALICE)).startswith("250")
    mallory = resident("mallory@example.test").identity
    with sqlite3.connect(tmp_path / "mail.db") as db:
        db.execute(
            "INSERT INTO certificates (account_id, fingerprint, octets, mac)"
            " SELECT id, ?, ?, ? FROM accounts WHERE address = ?",
            (mallory.fingerprint, mallory.cert, b"m" * 32, ALICE),
        )
    assert (await send(world, MAIL, ALICE)) == STORE_FAILED
    assert (await send(world, MAIL, ALICE)).startswith("450 4.7.5")
    assert len(await world.records(ALICE)) == 1


@pytest.mark.parametrize(
    ("error", "reply"),
    [(StoreFailed("disk"), "451 4.3.0"), (DiskFull("full"), "452 4.3.1")],
)
async def test_what_is_not_durable_is_not_acknowledged(world, monkeypatch, error, reply):
    async def fail(messages):
        raise error

    monkeypatch.setattr(world.store, "deliver", fail)
    assert (await send(world, MAIL, ALICE)).startswith(reply)
    monkeypatch.undo()
    assert await world.records(ALICE) == []


async def test_250_waits_for_the_commit(world, monkeypatch):
    commit, deliver = asyncio.Event(), world.store.deliver

    async def wait(messages):
        placed = await deliver(messages)
        await commit.wait()
        return placed

    monkeypatch.setattr(world.store, "deliver", wait)
    reply = asyncio.create_task(send(world, MAIL, ALICE))
    while not await world.records(ALICE):
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert not reply.done()
    commit.set()
    assert (await reply).startswith("250")


async def test_a_full_disk_is_told_before_the_mail_is_sent(world, monkeypatch):
    monkeypatch.setattr(world.store, "has_room", lambda: False)
    assert (await send(world, MAIL, ALICE)) == Refusal.STORAGE_FULL.reply.decode()


async def test_a_killed_worker_is_451_and_the_next_mail_passes(world):
    reply = asyncio.create_task(send(world, LARGE, ALICE, BOB))
    while not any(worker.pid for worker in world.sealing.workers):
        await asyncio.sleep(0.001)
    (pid,) = [worker.pid for worker in world.sealing.workers if worker.pid]
    os.kill(pid, signal.SIGKILL)
    assert (await reply) == STORE_FAILED
    assert await world.records(ALICE) == await world.records(BOB) == []
    assert (await send(world, LARGE, ALICE)).startswith("250")
    assert await world.read(ALICE) == [LARGE]


async def test_nothing_readable_is_on_disk(world, tmp_path, caplog):
    caplog.set_level("DEBUG")
    for content in (MAIL, LARGE, LARGE * 3):
        assert (await send(world, content, ALICE, BOB)).startswith("250")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.parent.name == "blobs" or "blobs" in path.parts for path in files)
    for path in files:
        octets = path.read_bytes()
        for word in (b"canary", b"sender.test"):
            assert word not in octets, path
    assert "canary" not in caplog.text
    assert "sender.test" not in caplog.text


async def test_judging_asks_for_nothing_but_the_answer(world):
    for address, refusal in (
        (ALICE, None),
        (CAROL, Refusal.NO_KEY),
        ("nobody@example.test", Refusal.UNKNOWN_USER),
        ("alice@elsewhere.test", Refusal.NOT_HERE),
    ):
        assert await world.delivery.judge(Address(*address.split("@"))) is refusal


async def test_mail_for_an_unknown_recipient_is_not_half_delivered(world):
    there = Arrival("192.0.2.1", "there", "ESMTP", None)
    recipients = (Address("alice", "example.test"), Address("nobody", "example.test"))
    mail = Mail("id", None, recipients, MAIL, there)
    assert await world.delivery.deliver(mail) is Refusal.FAILED
    assert await world.records(ALICE) == []


@pytest.mark.parametrize("policy", ["sealed", "baseline"])
async def test_real_mail_comes_back_octet_for_octet(tmp_path, policy):
    sent = list(corpus.messages())
    async with living(tmp_path, policy) as world:
        peer = await Peer.connect(world.server, greeted=True)
        for name, content in sent:
            assert (await peer.mail(content)).startswith("250"), name
        await peer.close()
        received = await world.read(ALICE)
    assert len(received) == len(sent)
    for (name, content), back in zip(sent, received, strict=True):
        assert back == content, name


async def test_nothing_is_stored_under_keys_or_a_policy_that_were_replaced_meanwhile(
    world, monkeypatch
):
    """A large mail takes seconds to seal; who has published since does not get it the old way."""
    alice = world.people[ALICE]
    after = Entry.decode(alice.account.statement.octets).digest
    newest = replace(alice.stated, sequence=2, previous=after, policy=StatedPolicy.BASELINE)
    seal, published = world.sealing.seal, []

    async def publishing(job):
        record = await seal(job)
        if not published:
            account = await world.store.account(ALICE)
            entry = Statement(2, alice.entry(newest))
            await world.store.publish(
                account.account_id, alice.account.certificates, entry, Policy.BASELINE
            )
            published.append(job.policy)
        return record

    monkeypatch.setattr(world.sealing, "seal", publishing)
    assert await send(world, MAIL, ALICE, BOB) == STORE_FAILED
    assert published == [Policy.SEALED]
    assert await world.records(ALICE) == await world.records(BOB) == []
    assert (await send(world, MAIL, ALICE, BOB)).startswith("250")
    assert [record.policy for record in await world.records(ALICE)] == [Policy.BASELINE]


async def test_two_devices_with_a_key_each_both_read_it_and_nobody_else(world):
    """Body and envelope are sealed to exactly the keys of the newest statement."""
    alice, phone = world.people[ALICE], resident("phone@example.test")
    after = Entry.decode(alice.account.statement.octets).digest
    listed = alice.stated.certificates + phone.stated.certificates
    newest = replace(alice.stated, sequence=2, previous=after, certificates=listed)
    assert len(newest.key_ids) == 2
    account = await world.store.account(ALICE)
    certificates = alice.account.certificates + phone.account.certificates
    entry = Statement(2, alice.entry(newest))
    await world.store.publish(account.account_id, certificates, entry, Policy.SEALED)
    for content in (MAIL, LARGE):
        assert (await send(world, content, ALICE, BOB)).startswith("250")
    records = await world.records(ALICE)
    for record in records:
        assert message_key_ids(record.body) == message_key_ids(record.envelope) == newest.key_ids
    for identity in (alice.identity, phone.identity):
        device = Resident(ALICE, identity, newest)
        assert [one.received for one in device.open_all(records)] == [MAIL, LARGE]
    with pytest.raises(OpenFailed):
        resident(BOB).open(records[0])


async def revoke(world) -> None:
    (certificate,) = (await world.store.recipient(ALICE)).certificates
    made = revoke_key(world.people[ALICE].identity.tsk, Reason.COMPROMISED, CREATED)
    account = await world.store.account(ALICE)
    await world.store.revise(account.account_id, replace(certificate, octets=made.cert))


async def test_after_a_revocation_no_mail_is_taken(world):
    assert (await send(world, MAIL, ALICE)).startswith("250")
    await revoke(world)
    assert await send(world, MAIL, ALICE) == Refusal.REVOKED.reply.decode()
    assert (await send(world, MAIL, "team@example.test")).startswith("550 5.7.1")
    assert (await send(world, MAIL, BOB)).startswith("250")
    assert len(await world.records(ALICE)) == 1


async def test_what_was_sealed_to_a_key_that_is_revoked_meanwhile_is_not_stored(world, monkeypatch):
    seal = world.sealing.seal

    async def revoking(job):
        record = await seal(job)
        await revoke(world)
        return record

    monkeypatch.setattr(world.sealing, "seal", revoking)
    assert await send(world, MAIL, ALICE) == STORE_FAILED
    assert await world.records(ALICE) == []
