"""Which accounts an address means, and what keeps mail from being sealed for one."""

from dataclasses import replace

import pytest

from e2email_crypto.errors import KeyRefused
from e2email_crypto.errors import Refusal as KeyReason
from e2email_crypto.packets import split
from e2email_crypto.statement import Entry
from e2email_protocol.address import Address
from e2email_protocol.sealed.record import Policy
from e2email_server import targets
from e2email_server.recipients import Recipients
from e2email_server.smtp.delivery import Refusal
from e2email_server.store.errors import RowTampered, StoreFailed
from e2email_server.store.memory import MemoryStore
from e2email_server.store.types import Certificate, Statement
from e2email_server.targets import NotTaken
from support.residents import CREATED, house, resident
from support.store_data import TestClock

ALICE, BOB = "alice@example.test", "bob@example.test"


class Store(MemoryStore):
    """Counts how often rows are read, and can give other rows than it holds."""

    reads = 0
    changed = None
    error = None

    async def recipient(self, address):
        self.reads += 1
        if self.error is not None:
            raise self.error
        row = await super().recipient(address)
        return self.changed(row) if self.changed else row


@pytest.fixture
async def store():
    store = Store(TestClock(CREATED + 100))
    for address in (ALICE, BOB):
        await store.register(resident(address).account, None)
    return store


def recipients(store, **settings):
    return Recipients(store, house(**settings), store._clock)


def address(text: str) -> Address:
    return Address(*text.rpartition("@")[::2])


async def found(who: Recipients, text: str) -> list[str]:
    """The accounts, or the refusal."""
    try:
        return [t.address for t in await who.resolve(address(text))]
    except NotTaken as reason:
        return [reason.refusal.name]


@pytest.mark.parametrize(
    ("text", "accounts"),
    [
        (ALICE, [ALICE]),
        ("ALICE@Example.TEST", [ALICE]),
        ("Alice+lists@example.test", [ALICE]),
        ("alice+@example.test", [ALICE]),
        ("+alice@example.test", ["UNKNOWN_USER"]),
        ("alice+list+x@example.test", [ALICE]),
        ("sales@example.test", [ALICE]),
        ("Sales+x@example.test", [ALICE]),
        ("team@example.test", [ALICE, BOB]),
        ("everyone@example.test", [ALICE, BOB]),
        ("team+exact@example.test", [BOB]),
        ("postmaster@example.test", [ALICE]),
        ("ABUSE@example.test", [ALICE]),
        ("abuse+x@example.test", [ALICE]),
        ("nobody@example.test", ["UNKNOWN_USER"]),
        ("dead@example.test", ["UNKNOWN_USER"]),
        ("@example.test", ["UNKNOWN_USER"]),
        ("a@b@example.test", ["UNKNOWN_USER"]),
        ("alice@elsewhere.test", ["NOT_HERE"]),
        ("alice@sub.example.test", ["NOT_HERE"]),
        ("alice@[127.0.0.1]", ["NOT_HERE"]),
        ("alice@bücher.test", [ALICE]),
        ("alice@xn--bcher-kva.test", [ALICE]),
    ],
)
async def test_names(store, text, accounts):
    who = recipients(
        store,
        domains=frozenset({"example.test", "xn--bcher-kva.test"}),
        aliases={
            "sales@example.test": (ALICE,),
            "team@example.test": (ALICE, BOB),
            "everyone@example.test": ("team@example.test", "sales@example.test"),
            "team+exact@example.test": (BOB,),
            "dead@example.test": ("gone@example.test",),
            "alice@xn--bcher-kva.test": (ALICE,),
        },
    )
    assert await found(who, text) == accounts


async def test_postmaster_without_a_domain(store):
    who = recipients(store)
    assert [t.address for t in await who.resolve(Address("postmaster", ""))] == [ALICE]
    who.config = house(postmaster=BOB)
    assert [t.address for t in await who.resolve(Address("postmaster", ""))] == [BOB]
    assert await found(who, "abuse@example.test") == [BOB]


async def test_postmaster_of_an_empty_house():
    who = recipients(MemoryStore())
    assert await found(who, "postmaster@example.test") == ["UNKNOWN_USER"]
    who.config = house(postmaster="postmaster@example.test")
    assert await found(who, "postmaster@example.test") == ["UNKNOWN_USER"]


async def test_an_alias_is_taken_for_all_or_for_none(store):
    await store.register(replace(resident("carol@example.test").account, statement=None), None)
    who = recipients(store, aliases={"team@example.test": (ALICE, "carol@example.test")})
    assert await found(who, "team@example.test") == ["NO_KEY"]
    assert await found(who, ALICE) == [ALICE]


async def test_a_disabled_account(store):
    account = await store.account(ALICE)
    await store.set_enabled(account.account_id, False)
    assert await found(recipients(store), ALICE) == ["DISABLED"]


# --- what is remembered ---------------------------------------------------------------------


async def test_rows_are_read_again_when_they_may_have_changed(store):
    who = recipients(store)
    for _ in range(3):
        assert await found(who, ALICE) == [ALICE]
    assert store.reads == 1
    account = await store.account(ALICE)
    await store.set_enabled(account.account_id, False)
    assert await found(who, ALICE) == ["DISABLED"]
    await store.set_enabled(account.account_id, True)
    assert await found(who, ALICE) == [ALICE]


async def test_keys_are_judged_again_daily_and_when_one_expires(store, monkeypatch):
    who, clock = recipients(store), store._clock
    gate, until = targets.gate.recipient, [None]
    monkeypatch.setattr(
        targets.gate, "recipient", lambda *a: replace(gate(*a), good_until=until[0])
    )
    await who.resolve(address(ALICE))
    clock.time += targets.REJUDGE - 1
    until[0] = clock.time + 10
    await who.resolve(address(ALICE))
    assert store.reads == 1
    clock.time += 1
    await who.resolve(address(ALICE))
    assert store.reads == 2
    clock.time += 9
    await who.resolve(address(ALICE))
    assert store.reads == 3


async def test_a_change_while_rows_are_read_is_not_missed(store):
    who = recipients(store)
    account = await store.account(ALICE)

    async def race(address):
        row = await MemoryStore.recipient(store, address)
        del store.recipient
        await store.set_enabled(account.account_id, False)
        return row

    store.recipient = race
    await found(who, ALICE)
    assert await found(who, ALICE) == ["DISABLED"]


# --- what keeps mail from being sealed ------------------------------------------------------


@pytest.mark.parametrize("reason", list(KeyReason))
async def test_a_refused_certificate(store, monkeypatch, caplog, reason):
    def refuse(certificate, now):
        raise KeyRefused(reason)

    monkeypatch.setattr(targets.gate, "recipient", refuse)
    expected = {KeyReason.REVOKED: "REVOKED", KeyReason.EXPIRED: "EXPIRED"}.get(reason, "BAD_KEY")
    assert await found(recipients(store), ALICE) == [expected]
    code = Refusal[expected].reply[:9]
    assert code == (b"550 5.7.1" if reason is KeyReason.REVOKED else b"450 4.7.5")
    assert "mail for alice@example.test cannot be sealed" in caplog.text


def revoked(certificate: Certificate) -> Certificate:
    first, *rest = split(certificate.octets, 64)
    revocation = resident(ALICE).identity.revocation
    octets = first.raw + revocation + b"".join(packet.raw for packet in rest)
    return replace(certificate, octets=octets)


def other(row):
    return resident(BOB).account.certificates[0]


def stated(**changes):
    """The statement with a change, signed by its owner all the same."""
    who = resident(ALICE).but(**changes)
    return lambda row: replace(row, statement=Statement(1, who.entry(who.stated)))


def without_subkeys(row):
    (certificate,) = resident(ALICE).stated.certificates
    foreign = resident(BOB).stated.certificates[0].encryption_subkeys
    subkeys = (*certificate.encryption_subkeys, *foreign)
    return stated(certificates=(replace(certificate, encryption_subkeys=subkeys),))(row)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda row: replace(row, statement=None), "NO_KEY"),
        (lambda row: replace(row, certificates=()), "BAD_STATEMENT"),
        (lambda row: replace(row, certificates=(other(row),)), "BAD_STATEMENT"),
        (lambda row: replace(row, certificates=(*row.certificates, other(row))), "BAD_STATEMENT"),
        (lambda row: replace(row, certificates=(revoked(row.certificates[0]),)), "REVOKED"),
        (without_subkeys, "BAD_KEY"),
        (stated(addresses=(BOB,)), "BAD_STATEMENT"),
        (
            lambda row: replace(row, account=replace(row.account, policy=Policy.BASELINE)),
            "BAD_STATEMENT",
        ),
    ],
    ids=[
        "no statement",
        "no certificate",
        "another certificate",
        "one certificate too many",
        "revoked",
        "a subkey too many",
        "another account",
        "another policy",
    ],
)
async def test_rows_that_do_not_agree(store, change, expected):
    store.changed = change
    assert await found(recipients(store), ALICE) == [expected]


async def test_a_statement_that_does_not_verify(store):
    entry = resident(ALICE).account.statement.octets
    for octets in (b"", b"{}", entry[:-1], resident(BOB).account.statement.octets):
        history = [Statement(1, octets)]
        with pytest.raises(NotTaken) as refused:
            targets.judge(await store.recipient(ALICE), history, CREATED + 100)
        assert refused.value.refusal is Refusal.BAD_STATEMENT


async def test_a_later_statement_must_follow(store):
    alice = resident(ALICE)
    row, first = await store.recipient(ALICE), alice.account.statement
    head = Entry.decode(first.octets).digest
    good = alice.but(sequence=2, previous=head)
    history = [first, Statement(2, good.entry(good.stated))]
    target, _ = targets.judge(row, history, CREATED + 100)
    assert target.known_key_ids == alice.stated.key_ids
    gap = alice.but(sequence=3, previous=head)
    forked = alice.but(sequence=2, previous=bytes(32))
    foreign = alice.but(sequence=2, previous=head, addresses=(BOB,))
    for bad in (gap, forked, foreign):
        with pytest.raises(NotTaken, match="entry"):
            targets.judge(row, [first, Statement(2, bad.entry(bad.stated))], CREATED + 100)


async def test_a_long_history_is_read_once(store, monkeypatch):
    """And not for every mail, APPEND and record: its owner could make that dear for everybody."""
    alice, read = resident(ALICE), []
    row = (await store.account(ALICE)).account_id
    real = MemoryStore.statements

    async def statements(self, account_id, first, count):
        read.append((first, count))
        return await real(self, account_id, first, count)

    monkeypatch.setattr(MemoryStore, "statements", statements)
    kept = [alice.account.certificates, Policy.SEALED]

    async def go_on(count):
        for _ in range(count):
            last = (await store.recipient(ALICE)).statement
            head, sequence = Entry.decode(last.octets).digest, last.sequence + 1
            more = alice.but(sequence=sequence, previous=head)
            entry = Statement(sequence, more.entry(more.stated))
            await store.publish(row, kept[0], entry, kept[1])

    await go_on(5)
    for _ in range(3):
        await targets.find_target(store, ALICE, store._clock)
    assert read == [(1, 6)]
    await go_on(1)
    await targets.find_target(store, ALICE, store._clock)
    await go_on(3)
    await targets.find_target(store, ALICE, store._clock)
    assert read == [(1, 6), (8, 3)]


async def test_another_entry_in_the_place_of_one_that_was_read(store):
    alice = resident(ALICE)
    row = await store.recipient(ALICE)
    await targets.find_target(store, ALICE, store._clock)
    for sequence, previous in ((1, None), (2, bytes(32))):
        other = alice.but(sequence=sequence, previous=previous, time=CREATED + 1)
        swapped = replace(row, statement=Statement(sequence, other.entry(other.stated)))
        store.changed = lambda _, swapped=swapped: swapped
        with pytest.raises(NotTaken, match="entry 2 does not follow"):
            await targets.find_target(store, ALICE, store._clock)


async def test_a_row_that_fails_its_mac(store, caplog):
    store.error = RowTampered("a row of certificates does not carry its MAC")
    assert await found(recipients(store), ALICE) == ["BAD_STATEMENT"]
    assert "a row of certificates does not carry its MAC" in caplog.text


async def test_a_store_that_fails_is_not_a_missing_key(store):
    store.error = StoreFailed("disk")
    with pytest.raises(StoreFailed):
        await recipients(store).resolve(address(ALICE))


async def test_everyday_refusals_are_not_alarms(store, caplog):
    who = recipients(store)
    await found(who, "nobody@example.test")
    await found(who, "alice@elsewhere.test")
    assert not caplog.text


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        (ALICE, ALICE),
        ("sales@example.test", ALICE),
        ("shop@example.test", ALICE),
        ("twice@example.test", ALICE),
        ("alice+lists@example.test", None),
        ("sales+x@example.test", None),
        ("postmaster@example.test", None),
        ("team@example.test", None),
        ("half@example.test", None),
        ("nobody@example.test", None),
        ("alice@elsewhere.test", None),
    ],
)
async def test_who_alone_gets_the_mail(store, text, owner):
    aliases = {
        "sales@example.test": (ALICE,),
        "shop@example.test": ("sales@example.test",),
        "twice@example.test": (ALICE, "alice+work@example.test"),
        "team@example.test": (ALICE, BOB),
        "half@example.test": (ALICE, "nobody@example.test"),
    }
    found = await recipients(store, aliases=aliases).owner(text)
    assert (found and found.address) == owner


async def test_an_address_led_away_from_its_account_is_nobodys(store):
    assert await recipients(store, aliases={BOB: (ALICE,)}).owner(BOB) is None
