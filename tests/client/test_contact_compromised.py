"""A contact's key was stolen and revoked: the history in which it signed goes on all the same."""

import time
from dataclasses import replace

import pytest

from e2email_client.contact import Source
from e2email_client.contact_rules import NoKey, Seen
from e2email_client.contacts import Contacts
from e2email_client.failure import Alarm
from e2email_client.finding import Finder
from e2email_client.local.cache import open_state
from e2email_client.local.learned import Learned
from e2email_client.shared_state import SharedState
from e2email_crypto import cert, recovery
from e2email_crypto.keyedit import Identity, Reason, new_identity, revoke, sign_detached
from e2email_crypto.recovery import sign_entry_by_recovery
from e2email_crypto.statement import Certificate, Entry, Policy, Statement, sign_entry
from e2email_protocol.account import Directory

BOB = "bob@example.test"
NOW = int(time.time())
OLD, NEW, THIEF = (new_identity(BOB, name, NOW - 60) for name in ("Old", "New", "Thief"))
KEYS = recovery.split(bytes(16), BOB, "mail.example.test")
REVOKED = revoke(OLD.tsk, Reason.COMPROMISED, NOW).cert


def stated(before: Entry | None, key: Identity, recovery_key: bytes = KEYS.public) -> Statement:
    (subkey,) = cert.inspect_cert(key.cert, NOW).subkeys
    listed = Certificate(key.fingerprint, (subkey.fingerprint,))
    first = Statement(1, (BOB,), (listed,), Policy.SEALED, NOW, recovery_key=recovery_key)
    return first if before is None else replace(first, sequence=2, previous=before.digest)


def signed(statement: Statement, key: Identity) -> Entry:
    return sign_entry(statement, key.fingerprint, lambda data: sign_detached(key.tsk, data))


FIRST = signed(stated(None, OLD), OLD)


class World:
    """Answers of the server's directory."""

    def __init__(self, state):
        contacts = Contacts(SharedState(None, state), Learned(state), {"alice@example.test"})  # type: ignore[arg-type]
        self.finder = Finder(contacts, self, None, None)  # type: ignore[arg-type]
        self.now = NOW

    def call(self, *_args, **_named):
        return self.answer

    def look(self, entries, certificates, in_use):
        self.answer = Directory(
            tuple(one.encode() for one in entries), tuple(certificates), (in_use.fingerprint,)
        )
        self.now += 1
        return self.finder.in_directory(BOB, self.now).outcomes[0].seen

    @property
    def usable(self):
        found = self.finder.contacts.usable_key(BOB, self.now)
        return found if isinstance(found, NoKey) else [one.fingerprint for one in found]


@pytest.fixture
def world(tmp_path):
    state = open_state(tmp_path / "state.db", bytes(32))
    yield World(state)
    state.close()


def test_the_revocation_is_heard_and_the_recovery_key_goes_on(world):
    assert world.look([FIRST], [OLD.cert], OLD) is Seen.PINNED
    assert world.look([FIRST], [REVOKED], OLD) is Seen.REVOKED
    assert isinstance(world.usable, NoKey)
    second = sign_entry_by_recovery(stated(FIRST, NEW), KEYS)
    assert world.look([FIRST, second], [REVOKED, NEW.cert], NEW) is Seen.FOLLOWED
    assert world.usable == [NEW.fingerprint]


def test_who_has_the_stolen_key_does_not_go_on_with_it(world):
    world.look([FIRST], [OLD.cert], OLD)
    theirs = recovery.split(b"T" * 16, BOB, "mail.example.test")
    stolen = signed(stated(FIRST, THIEF, theirs.public), OLD)
    with pytest.raises(Alarm):
        world.look([FIRST, stolen], [REVOKED, THIEF.cert], THIEF)
    # and what the key itself said of it was heard
    assert isinstance(world.usable, NoKey)


def test_a_first_look_at_a_stolen_key_takes_nothing(world):
    with pytest.raises(Alarm):
        world.look([FIRST], [REVOKED], OLD)
    assert isinstance(world.usable, NoKey)


def test_a_first_look_after_the_recovery_key_went_on(world):
    second = sign_entry_by_recovery(stated(FIRST, NEW), KEYS)
    assert world.look([FIRST, second], [REVOKED, NEW.cert], NEW) is Seen.PINNED
    assert world.usable == [NEW.fingerprint]


def test_who_pinned_another_key_is_not_at_a_first_look(world):
    world.finder.contacts.offer(BOB, THIEF.cert, Source.FILE, NOW)
    second = sign_entry_by_recovery(stated(FIRST, NEW), KEYS)
    with pytest.raises(Alarm):
        world.look([FIRST, second], [REVOKED, NEW.cert], NEW)
    assert world.usable == [THIEF.fingerprint]
