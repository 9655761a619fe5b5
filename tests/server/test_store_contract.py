"""What every store does. Each test runs on SQLite and on the twin in memory."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_protocol.sealed.record import Policy
from e2email_server.store.api import Store
from e2email_server.store.disk import FreeSpace
from e2email_server.store.errors import (
    AlreadyExists,
    BadName,
    Conflict,
    DiskFull,
    LimitReached,
    MessageGone,
    NotFound,
    RecordTaken,
)
from e2email_server.store.memory import MemoryStore
from e2email_server.store.names import MAX_FLAGS
from e2email_server.store.pairing_rows import MAX_PAIRINGS
from e2email_server.store.types import (
    DEFAULT_MAILBOXES,
    Account,
    Box,
    Certificate,
    FlagOp,
    Invite,
    Kdf,
    Login,
    NewAccount,
    NewToken,
    Pairing,
    Rewrap,
    Statement,
)
from support.store_data import TestClock, append_one, message, new_account, record, sql_store


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(params=["sql", "memory"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: TestClock
) -> AsyncIterator[Store]:
    made: Store = (
        MemoryStore(clock) if request.param == "memory" else await sql_store(tmp_path, clock)
    )
    yield made
    await made.close()


@pytest.fixture
async def alice(store: Store) -> Account:
    return await store.register(new_account(), None)


# --- accounts -------------------------------------------------------------------------------


async def test_registration_is_read_back(store: Store) -> None:
    made = await store.register(new_account(), None)
    assert await store.account("alice@example.test") == made
    assert await store.account_by_id(made.account_id) == made
    assert made.policy is Policy.SEALED
    assert made.enabled
    assert made.kdf == Kdf(3, 65536, b"s" * 16)
    found = await store.recipient("alice@example.test")
    assert found.account == made
    assert [c.fingerprint for c in found.certificates] == ["AB" * 20]
    assert found.statement == Statement(1, b"statement 1")
    assert [box.name for box in await store.boxes(made.account_id)] == ["slots", "vault"]


async def test_a_new_account_has_its_mailboxes(store: Store, alice: Account) -> None:
    mailboxes = await store.mailboxes(alice.account_id)
    assert {m.name: m.special_use for m in mailboxes} == {
        "INBOX": None,
        "Drafts": "\\Drafts",
        "Sent": "\\Sent",
        "Junk": "\\Junk",
        "Trash": "\\Trash",
        "Archive": "\\Archive",
    }
    assert all(m.subscribed and m.uidnext == 1 for m in mailboxes)
    assert (await store.mailbox(alice.inbox)).name == "INBOX"


async def test_an_address_is_registered_once(store: Store, alice: Account) -> None:
    with pytest.raises(AlreadyExists):
        await store.register(new_account(), None)
    assert [a.account_id for a in await store.accounts()] == [alice.account_id]


async def test_a_stranger_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.account("nobody@example.test")
    with pytest.raises(NotFound):
        await store.recipient("nobody@example.test")
    with pytest.raises(NotFound):
        await store.account_by_id(9999)


async def test_an_invite_is_used_once(store: Store, clock: TestClock) -> None:
    await store.invite(Invite("alice@example.test", clock(), clock() + 60), b"h" * 32)
    assert (await store.find_invite(b"h" * 32)).address == "alice@example.test"
    await store.register(new_account(), b"h" * 32)
    with pytest.raises(NotFound):
        await store.find_invite(b"h" * 32)


@pytest.mark.parametrize("fault", ["unknown", "other address", "expired"])
async def test_an_invite_that_does_not_fit(store: Store, clock: TestClock, fault: str) -> None:
    address = "bob@example.test" if fault == "other address" else "alice@example.test"
    await store.invite(Invite(address, clock(), clock() + 60), b"h" * 32)
    clock.time += 60 if fault == "expired" else 0
    with pytest.raises(NotFound):
        await store.register(new_account(), b"x" * 32 if fault == "unknown" else b"h" * 32)
    assert await store.accounts() == []


async def test_a_second_invite_ends_the_first(store: Store, clock: TestClock) -> None:
    await store.invite(Invite("alice@example.test", clock(), clock() + 60), b"1" * 32)
    await store.invite(Invite("alice@example.test", clock(), clock() + 60), b"2" * 32)
    with pytest.raises(NotFound):
        await store.find_invite(b"1" * 32)
    await store.find_invite(b"2" * 32)


async def test_no_invite_for_who_is_here(store: Store, alice: Account, clock: TestClock) -> None:
    with pytest.raises(AlreadyExists):
        await store.invite(Invite(alice.address, clock(), clock() + 60), b"1" * 32)


async def test_publishing_replaces_keys_and_policy(store: Store, alice: Account) -> None:
    new = [Certificate("CD" * 20, b"new")]
    await store.publish(alice.account_id, new, Statement(2, b"two"), Policy.BASELINE)
    found = await store.recipient(alice.address)
    assert found.certificates == tuple(new)
    assert found.statement == Statement(2, b"two")
    assert found.account.policy is Policy.BASELINE
    history = await store.statements(alice.account_id, 1, 10)
    assert [entry.sequence for entry in history] == [1, 2]
    assert await store.statements(alice.account_id, 2, 10) == history[1:]
    assert await store.statements(alice.account_id, 1, 1) == history[:1]


async def test_the_epoch_moves_with_account_rows_only(store: Store, alice: Account) -> None:
    epochs = [store.epoch]
    await store.deliver([message(alice.inbox)])
    await store.put_box(alice.account_id, Box("vault", 2, b"next"))
    assert store.epoch == epochs[0]
    await store.publish(alice.account_id, [], Statement(2, b"two"), Policy.BASELINE)
    epochs.append(store.epoch)
    await store.set_enabled(alice.account_id, False)
    epochs.append(store.epoch)
    await store.register(new_account("bob@example.test"), None)
    epochs.append(store.epoch)
    assert len(set(epochs)) == 4


@pytest.mark.parametrize("sequence", [1, 3])
async def test_a_statement_out_of_turn(store: Store, alice: Account, sequence: int) -> None:
    before = await store.recipient(alice.address)
    with pytest.raises(Conflict):
        await store.publish(alice.account_id, [], Statement(sequence, b"x"), Policy.BASELINE)
    assert await store.recipient(alice.address) == before


async def test_an_account_is_disabled(store: Store, alice: Account) -> None:
    await store.set_enabled(alice.account_id, False)
    assert not (await store.account(alice.address)).enabled


OTHER_LOGIN = Login("new", Kdf(4, 65536, b"t" * 16))


async def test_boxes_and_logins_change_in_one_step(store: Store, alice: Account) -> None:
    change = Rewrap(
        (Box("slots", 2, b"rewrapped"), Box("vault", 2, b"boxed anew"), Box("state", 1, b"s")),
        frozenset({"other"}),
        OTHER_LOGIN,
        b"R" * 32,
    )
    await store.rewrap(alice.account_id, change)
    changed = await store.account(alice.address)
    assert (changed.auth_hash, changed.kdf) == ("new", OTHER_LOGIN.kdf)
    assert await store.find_recovery(b"R" * 32) == alice.account_id
    boxes = {box.name: box for box in await store.boxes(alice.account_id)}
    assert boxes == {box.name: box for box in change.boxes}


@pytest.mark.parametrize(
    ("boxes", "absent"),
    [
        ((Box("slots", 2, b"x"), Box("vault", 1, b"late")), frozenset[str]()),
        ((Box("slots", 2, b"x"), Box("vault", 3, b"early")), frozenset[str]()),
        ((Box("slots", 2, b"x"), Box("state", 2, b"never first")), frozenset[str]()),
        ((Box("slots", 2, b"x"),), frozenset({"vault"})),
    ],
)
async def test_a_lost_race_changes_nothing(
    store: Store, alice: Account, boxes: tuple[Box, ...], absent: frozenset[str]
) -> None:
    before = await store.boxes(alice.account_id)
    with pytest.raises(Conflict):
        await store.rewrap(alice.account_id, Rewrap(boxes, absent, OTHER_LOGIN, b"R" * 32))
    assert await store.account(alice.address) == alice
    assert await store.boxes(alice.account_id) == before
    assert not await store.has_recovery(alice.account_id)


async def test_what_is_not_named_stays(store: Store, alice: Account) -> None:
    await store.rewrap(alice.account_id, Rewrap(recovery_hash=b"R" * 32))
    await store.rewrap(alice.account_id, Rewrap((Box("slots", 2, b"x"),)))
    assert await store.account(alice.address) == alice
    assert await store.has_recovery(alice.account_id)
    await store.rewrap(alice.account_id, Rewrap(recovery_hash=b"S" * 32))
    assert await store.find_recovery(b"S" * 32) == alice.account_id
    with pytest.raises(NotFound):
        await store.find_recovery(b"R" * 32)


# --- certificates ---------------------------------------------------------------------------

FIRST, SECOND, THIRD = ("AB" * 20, "CD" * 20, "EF" * 20)


async def test_past_certificates_stay_in_their_newest_form(store: Store, alice: Account) -> None:
    first = (await store.recipient(alice.address)).certificates[0]
    second = Certificate(SECOND, b"second")
    for sequence, certificates in enumerate(
        (
            [second, Certificate(THIRD, b"third")],
            [Certificate(SECOND, b"second, renewed")],
            [Certificate(FIRST, b"first, back"), Certificate(SECOND, b"second, again")],
        ),
        2,
    ):
        statement = Statement(sequence, b"s")
        await store.publish(alice.account_id, certificates, statement, Policy.SEALED)
        ever = await store.certificates(alice.account_id)
        assert ever[: len(certificates)] == certificates
        assert tuple(certificates) == (await store.recipient(alice.address)).certificates
        assert len({one.fingerprint for one in ever}) == len(ever)
        if sequence == 2:
            assert ever[2:] == [first]
    assert ever[2:] == [Certificate(THIRD, b"third")]
    assert await store.certificates(9999) == []


async def test_a_certificate_takes_another_form(store: Store, alice: Account) -> None:
    await store.publish(
        alice.account_id, [Certificate(SECOND, b"new")], Statement(2, b"two"), Policy.SEALED
    )
    for fingerprint in (FIRST, SECOND):
        epoch = store.epoch
        await store.revise(alice.account_id, Certificate(fingerprint, b"revoked"))
        assert store.epoch != epoch
    ever = await store.certificates(alice.account_id)
    assert ever == [Certificate(SECOND, b"revoked"), Certificate(FIRST, b"revoked")]
    assert (await store.recipient(alice.address)).certificates == (ever[0],)
    bob = await store.register(new_account("bob@example.test"), None)
    for account, fingerprint in ((alice, THIRD), (bob, SECOND)):
        with pytest.raises(NotFound):
            await store.revise(account.account_id, Certificate(fingerprint, b"x"))


# --- an account begun anew ------------------------------------------------------------------


def anew(address: str = "alice@example.test", sequence: int = 2) -> NewAccount:
    return replace(
        new_account(address),
        policy=Policy.BASELINE,
        kdf=OTHER_LOGIN.kdf,
        auth_hash="new",
        certificates=(Certificate(SECOND, b"new"),),
        statement=Statement(sequence, b"forced"),
        boxes=(Box("slots", 1, b"new slots"),),
        recovery_hash=b"N" * 32,
    )


async def equipped(store: Store, alice: Account, clock: TestClock) -> None:
    """With mail, and one of everything that shall end."""
    await store.deliver([message(alice.inbox)])
    await store.add_token(NewToken(alice.account_id, "app", "phone", frozenset(), b"t" * 32))
    await store.add_pairing(pairing(alice, clock))
    await store.rewrap(alice.account_id, Rewrap((Box("state", 1, b"s"),), recovery_hash=b"R" * 32))


async def test_an_account_begins_anew_and_keeps_its_mail(
    store: Store, alice: Account, clock: TestClock
) -> None:
    await equipped(store, alice, clock)
    invite = Invite(alice.address, clock(), clock() + 60, alice.account_id)
    await store.invite(invite, b"h" * 32)
    assert await store.find_invite(b"h" * 32) == invite
    epoch = store.epoch
    made = await store.register(anew(), b"h" * 32)
    assert store.epoch != epoch
    assert (made.account_id, made.inbox, made.created) == (
        alice.account_id,
        alice.inbox,
        alice.created,
    )
    assert (made.auth_hash, made.kdf, made.policy) == ("new", OTHER_LOGIN.kdf, Policy.BASELINE)
    assert await store.boxes(made.account_id) == [Box("slots", 1, b"new slots")]
    assert await store.tokens(made.account_id) == []
    assert await store.find_recovery(b"N" * 32) == made.account_id
    for gone in (store.find_recovery(b"R" * 32), store.take_pairing(b"p" * 32)):
        with pytest.raises(NotFound):
            await gone
    history = await store.statements(made.account_id, 1, 9)
    assert [entry.octets for entry in history] == [b"statement 1", b"forced"]
    assert [one.fingerprint for one in await store.certificates(made.account_id)] == [SECOND, FIRST]
    assert len((await store.entries(made.inbox)).entries) == 1
    with pytest.raises(NotFound):
        await store.find_invite(b"h" * 32)


@pytest.mark.parametrize("fault", ["not the next statement", "no such invite"])
async def test_an_account_that_does_not_begin_anew_is_as_it_was(
    store: Store, alice: Account, clock: TestClock, fault: str
) -> None:
    await equipped(store, alice, clock)
    invite = Invite(alice.address, clock(), clock() + 60, alice.account_id)
    await store.invite(invite, b"h" * 32)
    boxes = await store.boxes(alice.account_id)
    if fault == "no such invite":
        with pytest.raises(NotFound):
            await store.register(anew(), b"i" * 32)
    else:
        with pytest.raises(Conflict):
            await store.register(anew(sequence=3), b"h" * 32)
        assert await store.find_invite(b"h" * 32) == invite
    assert await store.account(alice.address) == alice
    assert await store.boxes(alice.account_id) == boxes
    assert len(await store.tokens(alice.account_id)) == 1
    assert await store.find_recovery(b"R" * 32) == alice.account_id
    assert len(await store.statements(alice.account_id, 1, 9)) == 1
    await store.take_pairing(b"p" * 32)


async def test_only_its_own_account_begins_anew(
    store: Store, alice: Account, clock: TestClock
) -> None:
    bob = await store.register(new_account("bob@example.test"), None)
    for address, replaces in ((alice.address, bob.account_id), ("carol@example.test", 9999)):
        with pytest.raises(NotFound):
            await store.invite(Invite(address, clock(), clock() + 60, replaces), b"h" * 32)


# --- credentials ----------------------------------------------------------------------------


async def test_tokens_come_and_go(store: Store, alice: Account, clock: TestClock) -> None:
    new = NewToken(alice.account_id, "app", "phone", frozenset({"read", "send"}), b"t" * 32)
    made = await store.add_token(new)
    assert made.created == clock()
    assert await store.find_token(b"t" * 32) == made
    await store.token_used(made.token_id, 19000)
    assert (await store.tokens(alice.account_id))[0].last_used_day == 19000
    with pytest.raises(NotFound):
        await store.remove_token(alice.account_id + 1, made.token_id)
    epoch = store.epoch
    await store.remove_token(alice.account_id, made.token_id)
    assert store.epoch != epoch
    with pytest.raises(NotFound):
        await store.find_token(b"t" * 32)


async def test_tokens_have_a_limit(
    store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("credential_rows", "memory_credentials"):
        monkeypatch.setattr(f"e2email_server.store.{module}.MAX_TOKENS", 1)
    await store.add_token(NewToken(alice.account_id, "app", "1", frozenset(), b"1" * 32))
    with pytest.raises(LimitReached):
        await store.add_token(NewToken(alice.account_id, "app", "2", frozenset(), b"2" * 32))


@pytest.mark.parametrize("version", [1, 3])
async def test_a_box_is_swapped_at_the_right_version_only(
    store: Store, alice: Account, version: int
) -> None:
    with pytest.raises(Conflict):
        await store.put_box(alice.account_id, Box("vault", version, b"other"))
    assert await store.box(alice.account_id, "vault") == Box("vault", 1, b"vault")
    await store.put_box(alice.account_id, Box("vault", 2, b"next"))
    assert await store.box(alice.account_id, "vault") == Box("vault", 2, b"next")


async def test_boxes_are_removed(store: Store, alice: Account) -> None:
    await store.remove_boxes(alice.account_id, {"vault", "never there"})
    assert [box.name for box in await store.boxes(alice.account_id)] == ["slots"]
    await store.remove_boxes(alice.account_id, {"vault", "slots"})
    assert await store.boxes(alice.account_id) == []
    await store.put_box(alice.account_id, Box("vault", 1, b"counted from the beginning"))


def pairing(account: Account, clock: TestClock, name: bytes = b"p") -> Pairing:
    return Pairing(account.account_id, clock() + 600, name * 32, b"message")


async def test_a_pairing_is_taken_once(store: Store, alice: Account, clock: TestClock) -> None:
    await store.add_pairing(pairing(alice, clock))
    assert await store.take_pairing(b"p" * 32) == pairing(alice, clock)
    with pytest.raises(NotFound):
        await store.take_pairing(b"p" * 32)


async def test_an_expired_pairing_is_none(store: Store, alice: Account, clock: TestClock) -> None:
    await store.add_pairing(pairing(alice, clock))
    assert await store.sweep_pairings() == 0
    clock.time += 600
    with pytest.raises(NotFound):
        await store.take_pairing(b"p" * 32)
    await store.sweep_pairings()
    clock.time -= 600
    with pytest.raises(NotFound):
        await store.take_pairing(b"p" * 32)


async def test_few_pairings_are_open(store: Store, alice: Account, clock: TestClock) -> None:
    bob = await store.register(new_account("bob@example.test"), None)
    for number in range(MAX_PAIRINGS):
        await store.add_pairing(pairing(alice, clock, b"%d" % number))
    await store.add_pairing(pairing(alice, clock, b"0"))  # the same again
    await store.add_pairing(pairing(bob, clock, b"b"))
    with pytest.raises(Conflict):
        await store.add_pairing(pairing(bob, clock, b"0"))
    with pytest.raises(LimitReached):
        await store.add_pairing(pairing(alice, clock, b"x"))
    clock.time += 600
    await store.add_pairing(pairing(alice, clock, b"x"))


# --- mailboxes ------------------------------------------------------------------------------


async def test_a_mailbox_is_found_by_its_name(store: Store, alice: Account) -> None:
    bob = await store.register(new_account("bob@example.test"), None)
    for account in (alice, bob):
        for one in await store.mailboxes(account.account_id):
            assert await store.mailbox_named(account.account_id, one.name) == one
    mine = await store.create(alice.account_id, "Mine")
    assert await store.mailbox_named(alice.account_id, "Mine") == mine
    for account, name in ((bob, "Mine"), (alice, "mine"), (alice, ""), (alice, "None")):
        with pytest.raises(NotFound):
            await store.mailbox_named(account.account_id, name)


async def test_a_mailbox_is_made_and_deleted(store: Store, alice: Account) -> None:
    made = await store.create(alice.account_id, "Lists/Python")
    assert (await store.mailbox(made.mailbox_id)) == made
    with pytest.raises(AlreadyExists):
        await store.create(alice.account_id, "Lists/Python")
    await store.delete(made.mailbox_id)
    with pytest.raises(NotFound):
        await store.mailbox(made.mailbox_id)
    with pytest.raises(NotFound):
        await store.delete(made.mailbox_id)


async def test_a_name_made_anew_has_a_new_uidvalidity(store: Store, alice: Account) -> None:
    first = await store.create(alice.account_id, "Work")
    await store.delete(first.mailbox_id)
    second = await store.create(alice.account_id, "Work")
    assert second.uidvalidity > first.uidvalidity


@pytest.mark.parametrize(
    "name", ["", "/", "a//b", "/a", "a/", "a\x00b", "a\nb", "x" * 513, "\ud800", "/".join("a" * 21)]
)
async def test_a_name_that_is_refused(store: Store, alice: Account, name: str) -> None:
    with pytest.raises(BadName):
        await store.create(alice.account_id, name)


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE mailboxes; --", "../../etc/passwd", "%00", "Entwürfe", "\u202ex", "a b"]
)
async def test_an_odd_name_is_inert(store: Store, alice: Account, name: str) -> None:
    made = await store.create(alice.account_id, name)
    assert made.name == name
    assert len(await store.mailboxes(alice.account_id)) == 7


async def test_inbox_is_one_however_it_is_written(store: Store, alice: Account) -> None:
    with pytest.raises(AlreadyExists):
        await store.create(alice.account_id, "inbox")
    assert (await store.create(alice.account_id, "Inbox/x")).name == "INBOX/x"
    with pytest.raises(BadName):
        await store.delete(alice.inbox)


async def test_a_rename_takes_inferiors_along(store: Store, alice: Account) -> None:
    top = await store.create(alice.account_id, "a")
    for name in ("a/b", "a/b/c", "ab"):
        await store.create(alice.account_id, name)
    await store.rename(top.mailbox_id, "z")
    names = {m.name for m in await store.mailboxes(alice.account_id)}
    assert {"z", "z/b", "z/b/c", "ab"} <= names
    assert not {"a", "a/b", "a/b/c"} & names


async def test_a_rename_onto_another_changes_nothing(store: Store, alice: Account) -> None:
    top = await store.create(alice.account_id, "a")
    await store.create(alice.account_id, "a/b")
    await store.create(alice.account_id, "z/b")
    with pytest.raises(AlreadyExists):
        await store.rename(top.mailbox_id, "z")
    with pytest.raises(BadName):
        await store.rename(top.mailbox_id, "a/x")
    assert (await store.mailbox(top.mailbox_id)).name == "a"


async def test_renaming_inbox_gives_its_mail_away(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox), message(alice.inbox)])
    await store.rename(alice.inbox, "Old")
    target = next(m for m in await store.mailboxes(alice.account_id) if m.name == "Old")
    assert len((await store.entries(target.mailbox_id)).entries) == 2
    emptied = await store.entries(alice.inbox)
    assert emptied.mailbox.name == "INBOX"
    assert emptied.entries == ()


async def test_mailboxes_have_a_limit(
    store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("mailbox_rows", "memory_base"):
        monkeypatch.setattr(f"e2email_server.store.{module}.MAX_MAILBOXES", 6)
    with pytest.raises(LimitReached):
        await store.create(alice.account_id, "one more")


async def test_subscribing(store: Store, alice: Account) -> None:
    await store.subscribe(alice.inbox, False)
    assert not (await store.mailbox(alice.inbox)).subscribed
    with pytest.raises(NotFound):
        await store.subscribe(9999, True)


# --- messages -------------------------------------------------------------------------------


async def test_delivered_mail_is_read_back(store: Store, alice: Account) -> None:
    new = message(alice.inbox, b"0123456789", flags=frozenset({"\\Seen", "$Label"}))
    placed = await store.deliver([new])
    mailbox = await store.mailbox(alice.inbox)
    assert (placed[0].uid, placed[0].uidvalidity) == (1, mailbox.uidvalidity)
    assert (mailbox.uidnext, mailbox.highest_modseq) == (2, placed[0].modseq)
    stored = (await store.messages(alice.inbox, [1], bodies=True))[0]
    assert stored.body == b"0123456789"
    assert stored.entry.flags == new.flags
    assert stored.entry.internal_date == new.internal_date
    assert (stored.entry.size, stored.entry.header_size) == (new.size, new.header_size)
    sent, head = new.record, stored.head
    for name in ("record_id", "form", "version", "policy", "outer", "boundary", "envelope"):
        assert getattr(head, name) == getattr(sent, name)
    assert (head.crc, head.body_size) == (77, 10)


async def test_bodies_come_only_when_asked_for(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox)])
    assert (await store.messages(alice.inbox, [1]))[0].body is None


async def test_a_body_is_read_in_ranges(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox, b"0123456789")])
    assert await store.body(alice.inbox, 1, 0, 100) == b"0123456789"
    assert await store.body(alice.inbox, 1, 3, 4) == b"3456"
    assert await store.body(alice.inbox, 1, 9, 5) == b"9"
    assert await store.body(alice.inbox, 1, 10, 5) == b""
    with pytest.raises(NotFound):
        await store.body(alice.inbox, 2, 0, 1)


async def test_a_large_body_is_read_in_ranges(store: Store, alice: Account) -> None:
    body = bytes(range(256)) * 2000
    await store.deliver([message(alice.inbox, body)])
    assert await store.body(alice.inbox, 1, 300_000, 300_000) == body[300_000:]
    assert await store.body(alice.inbox, 1, len(body), 10) == b""


async def test_one_transaction_for_several_recipients(store: Store, alice: Account) -> None:
    bob = await store.register(new_account("bob@example.test"), None)
    placed = await store.deliver([message(alice.inbox), message(bob.inbox), message(alice.inbox)])
    assert [place.uid for place in placed] == [1, 1, 2]


async def test_all_or_none(store: Store, alice: Account) -> None:
    with pytest.raises(NotFound):
        await store.deliver([message(alice.inbox), message(9999)])
    changes = await store.entries(alice.inbox)
    assert changes.entries == ()
    assert changes.mailbox.uidnext == 1


async def test_two_writers_and_one_that_aborts(store: Store, alice: Account) -> None:
    """Those that are right are stored once each, under UIDs without a gap; the wrong one is not."""

    async def write(count: int) -> None:
        for _ in range(count):
            await store.deliver([message(alice.inbox)])

    async def abort() -> int:
        failed = 0
        for _ in range(20):
            try:
                await store.deliver([message(alice.inbox), message(9999)])
            except NotFound:
                failed += 1
        return failed

    _, failed, _ = await asyncio.gather(write(40), abort(), write(40))
    assert failed == 20
    entries = (await store.entries(alice.inbox)).entries
    assert [entry.uid for entry in entries] == list(range(1, 81))
    assert len({entry.modseq for entry in entries}) == 80
    assert len({entry.record_id for entry in entries}) == 80


async def test_a_second_append_of_a_record_answers_the_first(store: Store, alice: Account) -> None:
    again = record()
    first = await append_one(store, message(alice.inbox, record=again))
    assert await append_one(store, message(alice.inbox, record=again)) == first
    assert len((await store.entries(alice.inbox)).entries) == 1
    other = await store.create(alice.account_id, "Other")
    assert (await append_one(store, message(other.mailbox_id, record=again))).uid == 1
    with pytest.raises(NotFound):
        await append_one(store, message(9999))


async def test_an_id_that_the_account_holds_stays_with_its_record(
    store: Store, alice: Account
) -> None:
    held = record()
    await append_one(store, message(alice.inbox, record=held))
    other = await store.create(alice.account_id, "Other")
    changes: list[dict[str, object]] = [
        {"envelope": b"forged"},
        {"body": b"longer body", "body_size": 11},
        {"crc": 78},
        {"outer": b""},
        {"boundary": b"c" * 24},
        {"policy": Policy.BASELINE},
    ]
    for change in changes:
        for mailbox in (alice.inbox, other.mailbox_id):
            with pytest.raises(RecordTaken):
                await append_one(store, message(mailbox, record=replace(held, **change)))
    assert (await store.entries(other.mailbox_id)).entries == ()
    # size and CRC can be forged: what is given is not what is stored
    forged = message(other.mailbox_id, record=replace(held, body=b"BODY"))
    placed = await append_one(store, forged)
    assert await store.body(other.mailbox_id, placed.uid, 0, 99) == held.body
    bob = await store.register(new_account("bob@example.test"), None)
    assert (await append_one(store, replace(forged, mailbox_id=bob.inbox))).uid == 1
    assert await store.body(bob.inbox, 1, 0, 99) == b"BODY"


async def test_an_appended_record_outlives_the_one_it_shares(store: Store, alice: Account) -> None:
    held = record(b"x" * 300_000)
    first = await append_one(store, message(alice.inbox, record=held))
    other = await store.create(alice.account_id, "Other")
    await append_one(store, message(other.mailbox_id, record=held, flags=frozenset({"a"})))
    await store.store_flags(alice.inbox, [first.uid], FlagOp.ADD, frozenset({"\\Deleted"}))
    assert await store.expunge(alice.inbox, None) == [first.uid]
    (kept,) = await store.messages(other.mailbox_id, [1])
    assert kept.entry.flags == {"a"}
    assert await store.body(other.mailbox_id, 1, 0, 1 << 20) == held.body


async def test_flags_are_stored(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox, flags=frozenset({"a"})) for _ in range(3)])
    done = await store.store_flags(alice.inbox, [1, 2, 99], FlagOp.ADD, frozenset({"b"}))
    assert [(e.uid, e.flags) for e in done.changed] == [(1, {"a", "b"}), (2, {"a", "b"})]
    await store.store_flags(alice.inbox, [1], FlagOp.REMOVE, frozenset({"a", "zz"}))
    await store.store_flags(alice.inbox, [3], FlagOp.REPLACE, frozenset())
    after = (await store.entries(alice.inbox)).entries
    assert [set(e.flags) for e in after] == [{"b"}, {"a", "b"}, set()]


async def test_flags_that_stay_keep_their_modseq(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox, flags=frozenset({"a"}))])
    before = await store.entries(alice.inbox)
    done = await store.store_flags(alice.inbox, [1], FlagOp.ADD, frozenset({"a"}))
    assert done.changed == ()
    assert await store.entries(alice.inbox) == before


async def test_a_message_has_so_many_flags_and_no_more(store: Store, alice: Account) -> None:
    def some(start: int, count: int) -> frozenset[str]:
        return frozenset(f"{number:063}" for number in range(start, start + count))

    half, rest = MAX_FLAGS // 128, MAX_FLAGS // 64
    await store.deliver([message(alice.inbox), message(alice.inbox)])
    await store.store_flags(alice.inbox, [1], FlagOp.REPLACE, some(0, half))
    before = await store.entries(alice.inbox)
    with pytest.raises(LimitReached):
        await store.store_flags(alice.inbox, [2, 1], FlagOp.ADD, some(half, rest))
    with pytest.raises(LimitReached):
        await store.append([message(alice.inbox, flags=some(0, rest + 1))])
    with pytest.raises(LimitReached):
        await store.replace(alice.inbox, 1, message(alice.inbox, flags=some(0, rest + 1)))
    assert await store.entries(alice.inbox) == before
    await store.store_flags(alice.inbox, [1], FlagOp.ADD, some(half, rest - half))


async def test_unchangedsince_keeps_what_changed(store: Store, alice: Account) -> None:
    placed = await store.deliver([message(alice.inbox), message(alice.inbox)])
    await store.store_flags(alice.inbox, [2], FlagOp.ADD, frozenset({"x"}))
    done = await store.store_flags(
        alice.inbox, [1, 2], FlagOp.ADD, frozenset({"y"}), placed[1].modseq
    )
    assert [entry.uid for entry in done.changed] == [1]
    assert done.modified == (2,)


async def test_expunge_takes_what_is_deleted(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox) for _ in range(4)])
    await store.store_flags(alice.inbox, [1, 2, 4], FlagOp.ADD, frozenset({"\\Deleted"}))
    assert await store.expunge(alice.inbox, [2, 3]) == [2]
    assert await store.expunge(alice.inbox, None) == [1, 4]
    assert await store.expunge(alice.inbox, None) == []
    assert [e.uid for e in (await store.entries(alice.inbox)).entries] == [3]
    with pytest.raises(NotFound):
        await store.body(alice.inbox, 1, 0, 1)
    assert (await store.deliver([message(alice.inbox)]))[0].uid == 5


async def test_changes_since(store: Store, alice: Account) -> None:
    placed = await store.deliver([message(alice.inbox) for _ in range(3)])
    since = placed[-1].modseq
    assert (await store.changes(alice.inbox, since)).entries == ()
    await store.store_flags(alice.inbox, [1, 2], FlagOp.ADD, frozenset({"\\Deleted"}))
    await store.expunge(alice.inbox, [2])
    await store.deliver([message(alice.inbox)])
    changes = await store.changes(alice.inbox, since)
    assert [entry.uid for entry in changes.entries] == [1, 4]
    assert changes.vanished == (2,)
    assert changes.mailbox.highest_modseq > since
    assert (await store.changes(alice.inbox, changes.mailbox.highest_modseq)).vanished == ()


async def test_a_copy_shares_what_it_copies(store: Store, alice: Account) -> None:
    large = b"x" * 300_000
    flags = frozenset({"\\Seen"})
    await store.deliver([message(alice.inbox, large, flags=flags), message(alice.inbox)])
    target = await store.create(alice.account_id, "Copies")
    done = await store.copy(alice.inbox, [1, 2, 77], target.mailbox_id)
    assert (done.sources, done.targets) == ((1, 2), (1, 2))
    assert done.uidvalidity == target.uidvalidity
    await store.store_flags(alice.inbox, [1, 2], FlagOp.ADD, frozenset({"\\Deleted"}))
    await store.expunge(alice.inbox, None)
    entry = (await store.entries(target.mailbox_id)).entries[0]
    assert entry.flags == flags
    assert await store.body(target.mailbox_id, 1, 0, 400_000) == large


async def test_a_move_leaves_nothing_behind(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox, b"one"), message(alice.inbox, b"two")])
    since = (await store.mailbox(alice.inbox)).highest_modseq
    target = await store.create(alice.account_id, "Target")
    done = await store.move(alice.inbox, [2], target.mailbox_id)
    assert (done.sources, done.targets) == ((2,), (1,))
    assert (await store.changes(alice.inbox, since)).vanished == (2,)
    assert await store.body(target.mailbox_id, 1, 0, 10) == b"two"
    assert [e.uid for e in (await store.entries(alice.inbox)).entries] == [1]


async def test_mail_does_not_cross_accounts(store: Store, alice: Account) -> None:
    bob = await store.register(new_account("bob@example.test"), None)
    await store.deliver([message(alice.inbox)])
    with pytest.raises(NotFound):
        await store.copy(alice.inbox, [1], bob.inbox)
    with pytest.raises(NotFound):
        await store.move(alice.inbox, [1], bob.inbox)
    assert len((await store.entries(alice.inbox)).entries) == 1


async def test_many_uids_sparse_and_dense(store: Store, alice: Account) -> None:
    await store.deliver([message(alice.inbox) for _ in range(1500)])
    sparse = list(range(1, 1500, 700))
    assert [m.entry.uid for m in await store.messages(alice.inbox, sparse)] == sparse
    dense = list(range(1, 1500, 2))
    assert [m.entry.uid for m in await store.messages(alice.inbox, dense)] == dense
    assert await store.messages(alice.inbox, []) == []


async def test_counts(store: Store, alice: Account) -> None:
    for flags in ({"\\Seen"}, {"\\Deleted", "\\Seen"}, {"Seen"}, set()):
        await store.deliver([message(alice.inbox, size=10, flags=frozenset(flags))])
    counts = await store.counts(alice.inbox)
    assert (counts.messages, counts.unseen, counts.deleted, counts.size) == (4, 2, 1, 40)


async def test_a_deleted_mailbox_takes_its_mail_along(store: Store, alice: Account) -> None:
    made = await store.create(alice.account_id, "Gone")
    await store.deliver([message(made.mailbox_id)])
    await store.delete(made.mailbox_id)
    with pytest.raises(NotFound):
        await store.entries(made.mailbox_id)
    with pytest.raises(NotFound):
        await store.deliver([message(made.mailbox_id)])


# --- waiting --------------------------------------------------------------------------------


async def test_waiters_wake_after_the_commit(store: Store, alice: Account) -> None:
    seen = (await store.mailbox(alice.inbox)).highest_modseq
    waiting = [asyncio.create_task(store.wait(alice.inbox, seen)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    placed = await store.deliver([message(alice.inbox)])
    assert await asyncio.gather(*waiting) == [placed[0].modseq] * 3
    assert await store.wait(alice.inbox, seen) == placed[0].modseq


async def test_news_of_another_mailbox_does_not_wake(store: Store, alice: Account) -> None:
    other = await store.create(alice.account_id, "Other")
    seen = (await store.mailbox(alice.inbox)).highest_modseq
    waiting = asyncio.create_task(store.wait(alice.inbox, seen))
    await asyncio.sleep(0.05)
    await store.deliver([message(other.mailbox_id)])
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
    await store.deliver([message(alice.inbox)])  # a cancelled waiter disturbs nobody


async def test_waiting_ends_with_the_mailbox(store: Store, alice: Account) -> None:
    made = await store.create(alice.account_id, "Gone")
    waiting = asyncio.create_task(store.wait(made.mailbox_id, made.highest_modseq))
    await asyncio.sleep(0.05)
    await store.delete(made.mailbox_id)
    with pytest.raises(NotFound):
        await waiting


# --- room -----------------------------------------------------------------------------------


async def test_below_the_floor_mail_is_refused_and_deletions_work(
    store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.deliver([message(alice.inbox, flags=frozenset({"\\Deleted"}))])
    assert store.has_room()
    monkeypatch.setattr(store, "_space" if hasattr(store, "_space") else "_room", _floor(store))
    assert not store.has_room()
    with pytest.raises(DiskFull):
        await store.deliver([message(alice.inbox)])
    with pytest.raises(DiskFull):
        await append_one(store, message(alice.inbox))
    with pytest.raises(DiskFull):
        await store.copy(alice.inbox, [1], alice.inbox)
    assert await store.expunge(alice.inbox, None) == [1]


def _floor(store: Store) -> object:
    return FreeSpace(Path("/"), 101, 0) if hasattr(store, "_space") else (lambda: False)


# --- ids, times, replacing --------------------------------------------------------------------


async def test_a_mailbox_keeps_its_id_when_renamed_and_never_gets_an_old_one(
    store: Store, alice: Account
) -> None:
    made = await store.create(alice.account_id, "Lists")
    ids = {one.object_id for one in await store.mailboxes(alice.account_id)}
    assert len(ids) == len(DEFAULT_MAILBOXES) + 1
    assert all(re.fullmatch(r"M[0-9a-f]{32}", one) for one in ids)
    await store.rename(made.mailbox_id, "Other")
    assert (await store.mailbox(made.mailbox_id)).object_id == made.object_id
    await store.delete(made.mailbox_id)
    assert (await store.create(alice.account_id, "Other")).object_id not in ids
    await store.rename(alice.inbox, "Old mail")
    after = {one.name: one.object_id for one in await store.mailboxes(alice.account_id)}
    assert after["INBOX"] in ids
    assert after["Old mail"] not in ids


async def test_when_a_message_came_into_its_mailbox(
    store: Store, alice: Account, clock: TestClock
) -> None:
    other = await store.create(alice.account_id, "Other")

    async def saved(mailbox_id: int) -> list[int]:
        return [one.saved for one in (await store.entries(mailbox_id)).entries]

    began = clock.time
    await store.deliver([message(alice.inbox, internal_date=5)])
    clock.time += 10
    await append_one(store, message(alice.inbox, internal_date=5))
    clock.time += 10
    await store.store_flags(alice.inbox, [1, 2], FlagOp.ADD, frozenset({"a"}))
    await store.copy(alice.inbox, [1], other.mailbox_id)
    assert await saved(alice.inbox) == [began, began + 10]
    assert await saved(other.mailbox_id) == [began + 20]
    clock.time += 10
    await store.move(alice.inbox, [2], other.mailbox_id)
    assert await saved(other.mailbox_id) == [began + 20, began + 30]
    assert [e.internal_date for e in (await store.entries(other.mailbox_id)).entries] == [5, 5]


async def test_several_are_appended_together_or_not_at_all(store: Store, alice: Account) -> None:
    held, again = record(), record()
    first = await append_one(store, message(alice.inbox, record=held))
    wrong = replace(again, envelope=b"forged")
    for bad in ([again, wrong], [again, replace(held, envelope=b"forged")]):
        with pytest.raises(RecordTaken):
            await store.append([message(alice.inbox, record=one) for one in bad])
    with pytest.raises(NotFound):
        await store.append([message(alice.inbox), message(9999)])
    assert len((await store.entries(alice.inbox)).entries) == 1
    placed = await store.append([message(alice.inbox, record=r) for r in (again, held, again)])
    assert [one.uid for one in placed] == [2, first.uid, 2]


async def test_removing_asks_for_no_flag(store: Store, alice: Account) -> None:
    for body in (b"1", b"2", b"3"):
        await append_one(store, message(alice.inbox, body))
    before = await store.mailbox(alice.inbox)
    assert await store.remove(alice.inbox, [3, 1, 9]) == [1, 3]
    changes = await store.changes(alice.inbox, before.highest_modseq)
    assert changes.vanished == (1, 3)
    assert await store.remove(alice.inbox, [1]) == []
    assert (await store.mailbox(alice.inbox)).highest_modseq == changes.mailbox.highest_modseq
    with pytest.raises(NotFound):
        await store.remove(9999, [1])


async def test_replacing_is_one_step(store: Store, alice: Account) -> None:
    old = await append_one(store, message(alice.inbox, b"old" * 200_000))
    before = await store.mailbox(alice.inbox)
    new = await store.replace(alice.inbox, old.uid, message(alice.inbox, b"new"))
    assert new.uid == old.uid + 1
    changes = await store.changes(alice.inbox, before.highest_modseq)
    assert ([e.uid for e in changes.entries], changes.vanished) == ([new.uid], (old.uid,))
    assert await store.body(alice.inbox, new.uid, 0, 9) == b"new"
    with pytest.raises(MessageGone):
        await store.replace(alice.inbox, old.uid, message(alice.inbox))
    with pytest.raises(NotFound):
        await store.replace(alice.inbox, new.uid, message(9999))
    bob = await store.register(new_account("bob@example.test"), None)
    with pytest.raises(NotFound):
        await store.replace(alice.inbox, new.uid, message(bob.inbox))
    assert [e.uid for e in (await store.entries(alice.inbox)).entries] == [new.uid]


async def test_replacing_by_the_same_record_and_by_a_forged_one(
    store: Store, alice: Account
) -> None:
    held = record()
    other = await store.create(alice.account_id, "Other")
    first = await append_one(store, message(alice.inbox, record=held))
    with pytest.raises(RecordTaken):
        forged = replace(held, envelope=b"forged")
        await store.replace(alice.inbox, first.uid, message(alice.inbox, record=forged))
    again = await store.replace(alice.inbox, first.uid, message(alice.inbox, record=held))
    assert again.uid == first.uid + 1
    moved = await store.replace(alice.inbox, again.uid, message(other.mailbox_id, record=held))
    assert await store.body(other.mailbox_id, moved.uid, 0, 9) == held.body
    assert (await store.entries(alice.inbox)).entries == ()
