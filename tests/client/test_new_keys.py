"""Keys that change while a program runs: on this machine, on another one, and mail for both."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2email_client import config, history
from e2email_client.account import Wish, create
from e2email_client.api import AccountApi
from e2email_client.failure import Alarm, Offline
from e2email_client.files import write_private
from e2email_client.held_vault import HeldVault, opening_key_ids
from e2email_client.history import History
from e2email_client.local import browse, cache, contents, mailboxes, mails
from e2email_client.local.contents import Skeleton
from e2email_client.local.mails import State
from e2email_client.opener import Keys
from e2email_client.opening import Opening
from e2email_client.passphrase import Source
from e2email_client.paths import Home
from e2email_client.unlock import Unlocked, read_statements, unlock
from e2email_crypto import keyedit, statement, vault
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.gate import recipient
from e2email_crypto.slot import AccountKey
from e2email_crypto.statement import Entry, Policy
from e2email_crypto.vault import Identity
from e2email_protocol.sealed.render import envelope_field, render
from e2email_server.store.types import Statement as Stored
from support import sealing
from support.account_server import ALICE, PARAMS, PASSPHRASE, Running, account_server, stated
from support.local_mail import fill

NOW = 1_750_000_000
EMAIL_ID = "E" + sealing.RECORD_ID.hex()
MAIL = b"From: bob@example.net\r\nSubject: hello\r\n\r\nText\r\n"
FOREIGN = "someone else can read this mail"


class Key:
    """One of alice's, with what is sealed to it by her server."""

    arrival = ArrivalKey.generate()

    def __init__(self) -> None:
        now = int(time.time())
        self.identity = keyedit.new_identity(sealing.ACCOUNT, "Alice", now)
        self.recipient = recipient(self.identity.cert, now)

    @property
    def ids(self) -> frozenset[str]:
        return self.recipient.key_ids

    def sealed(self) -> tuple[bytes, bytes]:
        """Envelope field and rendering of a mail."""
        record = sealing.composed(MAIL, sealing.RealSealer(self.recipient, self.arrival))
        whole = render(record)
        return envelope_field(record), whole.read(0, whole.size)


class Program:
    """One that opens with `held` keys, and asks `answer` about key ids it has not heard of."""

    def __init__(self, *held: Key, stated: tuple[Key, ...]) -> None:
        self.asked: list[frozenset[str]] = []
        self.answer = lambda: None
        self.held, self.stated = held, stated
        self.opening = Opening(self.keys(), [one.identity.tsk for one in held], workers=1)

    def keys(self) -> Keys:
        return Keys(
            sealing.ACCOUNT,
            tuple(one.ids for one in self.stated),
            (Key.arrival.public,),
            held_key_ids=frozenset().union(*(one.ids for one in self.held)),
            unstated=self.unstated,
        )

    def unstated(self, named: frozenset[str]) -> None:
        self.asked.append(named)
        self.answer()

    def hears(self, *held: Key, stated: tuple[Key, ...]) -> None:
        self.held, self.stated = held, stated
        self.opening.use(self.keys(), [one.identity.tsk for one in held])

    def outcomes(self, sealed: tuple[bytes, bytes]) -> tuple[Any, Any]:
        """Of its envelope alone, and of the whole."""
        ((_, listed),) = self.opening.envelopes([(EMAIL_ID, sealed[0])])
        ((_, opened),) = self.opening.bodies([(EMAIL_ID, sealed[1])])
        return listed, opened


def names(*outcomes: Any) -> list[str]:
    return [type(one).__name__ for one in outcomes]


@pytest.fixture(scope="module")
def keys() -> tuple[Key, Key]:
    return Key(), Key()


@pytest.fixture
def program(keys: tuple[Key, Key]) -> Iterator[Program]:
    made = Program(keys[0], stated=keys[:1])
    yield made
    made.opening.close()


# --- opening ----------------------------------------------------------------------------------


def test_mail_for_a_key_that_is_elsewhere_waits(program: Program, keys: tuple[Key, Key]) -> None:
    program.hears(keys[0], stated=keys)
    assert names(*program.outcomes(keys[1].sealed())) == ["KeyElsewhere", "KeyElsewhere"]
    assert program.asked == []


def test_a_key_from_before_those_that_are_here_is_gone(
    program: Program, keys: tuple[Key, Key]
) -> None:
    program.hears(keys[1], stated=keys)
    assert names(*program.outcomes(keys[0].sealed())) == ["KeyGone", "KeyGone"]


def test_it_is_opened_once_the_key_is_here(program: Program, keys: tuple[Key, Key]) -> None:
    program.hears(*keys, stated=keys)
    for key in keys:
        listed, (summary, body) = program.outcomes(key.sealed())
        assert (listed.subject, summary.state) == ("hello", State.OPENED)
        assert summary.security.alarms == ()
        assert body.delivered.endswith(MAIL)


def test_keys_that_nobody_heard_of_are_asked_for_before_the_alarm(
    program: Program, keys: tuple[Key, Key]
) -> None:
    program.answer = lambda: program.hears(*keys, stated=keys)
    listed, (summary, _) = program.outcomes(keys[1].sealed())
    assert (listed.subject, summary.state) == ("hello", State.OPENED)
    assert program.asked == [keys[1].ids]
    assert summary.security.alarms == ()


def test_offline_nothing_is_called_foreign(program: Program, keys: tuple[Key, Key]) -> None:
    def offline() -> None:
        raise Offline("no line")

    program.answer = offline
    assert names(*program.outcomes(keys[1].sealed())) == ["Later", "Later"]


def test_what_the_history_does_not_name_is_never_opened(
    program: Program, keys: tuple[Key, Key]
) -> None:
    listed, (summary, _) = program.outcomes(keys[1].sealed())
    assert names(listed) == ["Unreadable"]
    assert summary.state is State.UNREADABLE
    assert set(program.asked) == {keys[1].ids}


def test_an_opened_one_to_keys_of_no_statement_is_an_alarm(
    program: Program, keys: tuple[Key, Key]
) -> None:
    """The key is here, but no statement said that mail is sealed to it."""
    program.hears(*keys, stated=keys[:1])
    listed, (summary, _) = program.outcomes(keys[1].sealed())
    assert listed.security.alarms == summary.security.alarms == (FOREIGN,)


def test_what_failed_too_often_is_tried_again_with_new_keys(tmp_path: Path) -> None:
    database = cache.open_cache(tmp_path / "cache.db", bytes(32))
    local = fill(database, 1)
    mails.try_again(database, 7)
    for _ in range(mails.MOST_TRIES):
        assert mails.wanting(database, local.id, State.CLOSED)
        mails.put_off(database, ["e1"])
    assert not mails.wanting(database, local.id, State.CLOSED)
    mails.try_again(database, 7)
    assert not mails.wanting(database, local.id, State.CLOSED)
    mails.try_again(database, 8)
    assert mails.wanting(database, local.id, State.CLOSED)
    database.close()


def test_programs_are_not_told_of_mail_whose_key_is_elsewhere(tmp_path: Path) -> None:
    """mbsync never asks again for a mail that was not to be had once."""
    database = cache.open_cache(tmp_path / "cache.db", bytes(32))
    local = fill(database, 0)
    mails.try_again(database, 7)
    contents.add(database, local.id, [Skeleton(uid, f"E{uid}", frozenset(), 0) for uid in (1, 2)])
    mailboxes.listed(database, local.id, uidnext=3, upstream_modseq=1)
    mails.put_off(database, ["E1"], held=["E1"])
    mails.put_off(database, ["E2"])
    assert contents.entries(database, local.id) == []
    mails.try_again(database, 8)
    mails.put_off(database, ["E1", "E2"])  # for another reason
    assert [one.uid for one in contents.entries(database, local.id)] == [1, 2]
    database.close()


def test_mail_whose_key_is_gone_holds_nothing_back(tmp_path: Path) -> None:
    database = cache.open_cache(tmp_path / "cache.db", bytes(32))
    local = fill(database, 0)
    contents.add(database, local.id, [Skeleton(uid, f"E{uid}", frozenset(), 0) for uid in (1, 2)])
    mailboxes.listed(database, local.id, uidnext=3, upstream_modseq=1)
    mails.put_off(database, ["E1", "E2"], gone=["E1"])
    assert [one.uid for one in contents.entries(database, local.id)] == [1, 2]
    assert browse.failed(database, State.READY) == (1, 1)
    database.close()


# --- a program that runs ----------------------------------------------------------------------


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def alice(running: Running, tmp_path: Path) -> Unlocked:
    invite = await running.accounts.invite(ALICE)
    home = Home(tmp_path / "one")
    wish = Wish(home, ALICE, running.server, "laptop", PASSPHRASE)
    await asyncio.to_thread(create, wish, invite, "Alice", Policy.SEALED, NOW, PARAMS)
    return reopened(tmp_path)


def reopened(tmp_path: Path) -> Unlocked:
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE)
    return unlock(Home(tmp_path / "one").account(ALICE), Source(file=secret), None)


def another(alice: Unlocked) -> Identity:
    made = keyedit.new_identity(ALICE, "Alice", int(time.time()))
    return Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


def with_identity(alice: Unlocked, new: Identity) -> vault.Vault:
    """The vault after `new` was put in front."""
    known = alice.vault
    return replace(known, counter=known.counter + 1, identities=(new, *known.identities))


def leave(alice: Unlocked, found: vault.Vault, key: AccountKey | None = None) -> None:
    """As another program of this machine leaves it."""
    names = alice.settings.address, alice.settings.server_name
    write_private(alice.paths.vault, vault.seal_vault(found, key or alice.key, *names))
    config.save(alice.paths, replace(config.load(alice.paths), vault_version=found.counter))


async def publish(running: Running, alice: Unlocked, *keys: Identity) -> None:
    """The next entry, which lists these; as another machine does it."""
    before = Entry.decode((await running.store.statements(1, 1, 200))[-1].octets)
    old = statement.decode(before.statement)
    made = replace(
        old,
        sequence=old.sequence + 1,
        previous=before.digest,
        certificates=tuple(
            stated(keyedit.Identity(one.tsk, one.certificate, one.fingerprint, b"")) for one in keys
        ),
    )
    signer = alice.vault.identities[0]
    entry = statement.sign_entry(
        made, signer.fingerprint, lambda data: keyedit.sign_detached(signer.tsk, data)
    )
    account = await running.store.account(ALICE)
    await running.accounts.publish(account, entry.encode(), tuple(one.certificate for one in keys))


async def test_a_new_vault_on_this_machine_is_read(alice: Unlocked) -> None:
    held, new = HeldVault(alice), another(alice)
    assert not held.look()
    leave(alice, with_identity(alice, new))
    assert held.look()
    assert held.now.identities[0] == new
    assert not held.look()


async def test_a_vault_under_another_account_key_leaves_the_old_one(
    alice: Unlocked, caplog: pytest.LogCaptureFixture
) -> None:
    held = HeldVault(alice)
    leave(alice, with_identity(alice, another(alice)), AccountKey.generate())
    assert not held.look()
    assert not held.look()
    assert held.now == alice.vault
    assert len(caplog.records) == 1


async def test_keys_changed_on_another_machine(running: Running, alice: Unlocked) -> None:
    """Not an alarm: a key that is in the vault vouches for them. The vault is behind."""
    said: list[str] = []
    known, told = History(alice, said.append), []
    known.on_change(lambda: told.append(known.behind))
    new = another(alice)
    await publish(running, alice, new)
    await asyncio.to_thread(known.refresh)
    assert known.behind
    assert (told, said) == ([True], [])
    assert known.statements()[-1].fingerprints == {new.fingerprint}
    # it seals to them already, and the next program does not stumble over them
    assert new.certificate in known.certificates()
    assert len(read_statements(alice.paths)) == 1
    leave(alice, with_identity(alice, new))
    await asyncio.to_thread(known.look)
    assert not known.behind
    assert told == [True, False]
    assert opening_key_ids([new]) <= opening_key_ids(known.vault().identities)


async def test_a_chain_that_goes_on_by_the_new_key(
    running: Running, alice: Unlocked, tmp_path: Path
) -> None:
    """Its certificate comes from the server, and is believed as far as the chain reaches."""
    new = another(alice)
    await publish(running, alice, new)
    elsewhere = replace(alice, vault=with_identity(alice, new))
    await publish(running, elsewhere, new)
    known = History(alice)
    await asyncio.to_thread(known.refresh)
    assert len(known.statements()) == 3
    assert known.behind
    assert reopened(tmp_path).statement.sequence == 1


async def test_key_ids_are_looked_up_once(
    running: Running, alice: Unlocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = AccountApi.call, []

    def call(self: AccountApi, method: str, path: str, *rest: Any, **named: Any) -> Any:
        asked.append(path)
        return real(self, method, path, *rest, **named)

    monkeypatch.setattr(AccountApi, "call", call)
    known = History(alice)
    strange = frozenset({"0123456789ABCDEF"})
    for _ in range(3):
        await asyncio.to_thread(known.unstated, strange)
    await asyncio.to_thread(known.unstated, known.statements()[0].key_ids)
    assert len(asked) == 1
    new = another(alice)
    await publish(running, alice, new)
    await asyncio.to_thread(known.unstated, opening_key_ids([new]))
    assert known.behind
    await running.listener.stop(1)
    with pytest.raises(Offline):
        await asyncio.to_thread(known.unstated, frozenset({"FEDCBA9876543210"}))


async def test_a_key_that_nobody_vouched_for_is_an_alarm(running: Running, alice: Unlocked) -> None:
    """The server puts its own key into the next entry, which it cannot sign."""
    said: list[str] = []
    known, mallory = History(alice, said.append), another(alice)
    forger = replace(alice, vault=replace(alice.vault, identities=(mallory,)))
    store = running.store
    before = Entry.decode((await store.statements(1, 1, 200))[-1].octets)
    old = statement.decode(before.statement)
    made = replace(old, sequence=2, previous=before.digest)
    signer = forger.vault.identities[0]
    entry = statement.sign_entry(
        made,
        alice.vault.identities[0].fingerprint,
        lambda data: keyedit.sign_detached(signer.tsk, data),
    )
    store._people[1].statements.append(Stored(2, entry.encode()))
    with pytest.raises(Alarm, match="does not verify"):
        await asyncio.to_thread(known.refresh)
    assert said
    assert len(known.statements()) == 1


async def test_another_program_of_this_machine_heard_first(
    running: Running, alice: Unlocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = History(alice), History(alice)
    monkeypatch.setattr(history, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(history, "REFRESH_SECONDS", 3600.0)
    task = asyncio.create_task(slow.follow())
    try:
        await publish(running, alice, alice.vault.identities[0])
        await asyncio.to_thread(fast.refresh)
        async with asyncio.timeout(20):
            while len(slow.statements()) < 2:
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
