"""The journal by itself: order, what entries come to, appends, and a disk that is full."""

import os
from datetime import UTC, datetime

import pytest
from sqlcipher3 import dbapi2

from e2email_client import repairing
from e2email_client.failure import LocalFault
from e2email_client.local import cache, contents, mailboxes
from e2email_client.local.contents import Skeleton
from e2email_client.local.entries import (
    UIDS_A_ROW,
    Change,
    Kind,
    Place,
    State,
    differences,
)
from e2email_client.local.journal import RETRY_SECONDS, Journal
from e2email_client.local.pending import Effect
from e2email_client.local.reserve import Reserve

INBOX = Place("INBOX", "", 7)
WHEN = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
MAIL = b"From: a@example.test\r\n\r\nhello\r\n"
SEEN, FLAGGED = frozenset({"\\Seen"}), frozenset({"\\Flagged"})
NONE: frozenset[str] = frozenset()


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(tmp_path):
    database = cache.open_state(tmp_path / "state.db", bytes(32))
    yield database
    database.close()


@pytest.fixture
def journal(state, tmp_path, clock):
    return Journal(state, Reserve(tmp_path / "reserve"), clock)


def effects(journal, place=INBOX):
    return journal.effects(place.name, place.object_id, place.uidvalidity)


def test_the_last_word_on_a_flag_counts(journal):
    journal.flags(INBOX, [Change((1, 2), SEEN, NONE)])
    journal.flags(INBOX, [Change((2,), FLAGGED, SEEN)])
    assert effects(journal) == {1: Effect(SEEN), 2: Effect(FLAGGED, SEEN)}
    journal.flags(INBOX, [Change((2,), SEEN, NONE)])
    assert effects(journal)[2] == Effect(SEEN | FLAGGED)


def test_gone_is_gone_whatever_comes_after(journal):
    journal.delete(INBOX, [4, 3])
    journal.flags(INBOX, [Change((3,), SEEN, NONE)])
    assert [(one.kind, one.uids) for one in journal.pending()] == [
        (Kind.DELETE, (3, 4)),
        (Kind.FLAGS, (3,)),
    ]
    assert effects(journal)[3].gone
    assert effects(journal)[4].gone


def test_a_replaced_set_of_flags_is_a_difference_to_what_was_shown():
    shown = [(1, SEEN), (2, SEEN | FLAGGED), (3, NONE), (4, FLAGGED)]
    assert list(differences(shown, FLAGGED)) == [
        Change((1,), FLAGGED, SEEN),
        Change((2,), NONE, SEEN),
        Change((3,), FLAGGED, NONE),
    ]


@pytest.mark.parametrize(
    ("promised", "asked", "found"),
    [
        (Place("Box", "Fid", 7), Place("Box", "Fid", 7), True),
        (Place("Box", "Fid", 7), Place("Renamed", "Fid", 7), True),
        (Place("Box", "Fid", 7), Place("Box", "Fother", 7), False),
        (Place("Box", "", 7), Place("Box", "Fid", 7), True),
        (Place("Box", "Fid", 7), Place("Box", "", 7), True),
        (Place("Box", "Fid", 7), Place("Box", "Fid", 8), False),
        (Place("Box", "", 7), Place("Other", "", 7), False),
    ],
)
def test_which_mailbox_is_meant(journal, promised, asked, found):
    journal.flags(promised, [Change((1,), SEEN, NONE)])
    assert bool(effects(journal, asked)) is found


def test_a_row_holds_a_bounded_number_of_messages(journal):
    journal.delete(INBOX, range(1, 2 * UIDS_A_ROW + 2))
    assert [len(one.uids) for one in journal.pending()] == [UIDS_A_ROW, UIDS_A_ROW, 1]


def test_what_is_done_leaves_and_what_is_refused_stays(journal):
    (first,) = journal.flags(INBOX, [Change((1,), SEEN, NONE)])
    (second,) = journal.delete(INBOX, [2])
    journal.done([first])
    journal.refuse([one for one in journal.pending() if one.id == second], "NOPERM")
    assert not journal.anything_pending()
    assert effects(journal) == {}
    assert [(one.id, one.reason) for one in journal.entries(State.REFUSED)] == [(second, "NOPERM")]
    # a number is never used twice
    assert journal.delete(INBOX, [3]) == [second + 1]


def test_it_survives_its_program(journal, state, tmp_path):
    journal.flags(INBOX, [Change((1,), SEEN, NONE)])
    journal.queue_append(INBOX, b"sealed", SEEN, WHEN)
    state.close()
    again = Journal(cache.open_state(tmp_path / "state.db", bytes(32)), Reserve(tmp_path / "r"))
    flags, append = again.pending()
    assert (flags.kind, flags.uids, flags.added, flags.place) == (Kind.FLAGS, (1,), SEEN, INBOX)
    assert (append.kind, append.added, append.when, append.size) == (Kind.APPEND, SEEN, WHEN, 6)
    assert again.octets(append.id) == b"sealed"


def test_every_commit_is_on_the_disk(state):
    assert state.read("PRAGMA synchronous")[0][0] == 2
    with state.write() as writer:
        assert writer.execute("PRAGMA synchronous").fetchone()[0] == 2


class Sealing:
    """Never the same octets twice."""

    def __init__(self):
        self.count = 0

    def __call__(self, mail: bytes) -> bytes:
        self.count += 1
        return b"%d:%b" % (self.count, mail[::-1])


def test_an_append_tried_again_goes_up_as_the_same_octets(journal, state, tmp_path):
    seal = Sealing()
    first = journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN)
    assert not first.again
    assert not journal.anything_pending()  # nothing sends it by itself
    journal.gave_up(first)
    second = journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN)
    assert (second.id, second.octets, second.again) == (first.id, first.octets, True)
    # the program died: another one finds it
    other = Journal(state, Reserve(tmp_path / "reserve"))
    other._clock = journal._clock
    assert other.begin_append(INBOX, MAIL, seal, SEEN, WHEN).octets == first.octets
    journal.done([second.id])
    assert journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN).octets != first.octets


def test_two_appends_of_one_mail_at_once_are_two(journal):
    seal = Sealing()
    first = journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN)
    second = journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN)
    assert first.octets != second.octets


def test_another_mailbox_or_mail_is_another_append(journal):
    seal = Sealing()
    first = journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN)
    journal.gave_up(first)
    elsewhere = journal.begin_append(Place("Sent", "", 8), MAIL, seal, SEEN, WHEN)
    other = journal.begin_append(INBOX, MAIL + b"!", seal, SEEN, WHEN)
    assert len({first.octets, elsewhere.octets, other.octets}) == 3


def test_after_a_day_nobody_tries_again(journal, clock):
    seal = Sealing()
    first = journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN)
    journal.gave_up(first)
    clock.now += RETRY_SECONDS + 1
    assert not journal.begin_append(INBOX, MAIL, seal, SEEN, WHEN).again
    assert journal.octets(first.id) is None


def test_which_mail_was_tried_cannot_be_told_without_the_key(journal, state):
    journal.begin_append(INBOX, MAIL, Sealing(), SEEN, WHEN)
    ((key,),) = state.read("SELECT retry_key FROM journal")
    other = cache.open_state(state.path.with_name("other.db"), bytes(32))
    Journal(other, Reserve(state.path)).begin_append(INBOX, MAIL, Sealing(), SEEN, WHEN)
    assert other.read("SELECT retry_key FROM journal") != [(key,)]
    other.close()


def test_nothing_of_a_mail_in_what_is_logged(journal):
    sending = journal.begin_append(INBOX, MAIL, bytes, SEEN, WHEN)
    assert "hello" not in repr(sending) + repr(journal)


class Full:
    """A state database whose disk is full until something is freed."""

    def __init__(self, state, reserve):
        self._state, self._reserve, self.path = state, reserve, state.path

    def read(self, *query):
        return self._state.read(*query)

    def fold_log(self):
        self._state.fold_log()

    def write(self):
        if self._reserve.exists():
            raise dbapi2.OperationalError("database or disk is full")
        return self._state.write()


def test_a_promise_has_room_on_a_full_disk(state, tmp_path):
    path = tmp_path / "reserve"
    reserve = Reserve(path, 4096)
    assert reserve.hold()
    assert os.stat(path).st_blocks * 512 >= 4096
    journal = Journal(Full(state, path), reserve)
    journal.flags(INBOX, [Change((1,), SEEN, NONE)])
    assert not path.exists()
    assert effects(journal) == {1: Effect(SEEN)}


def test_an_append_has_not(state, tmp_path):
    """It is large and its program hears NO: what is kept free is for what is promised."""
    path = tmp_path / "reserve"
    reserve = Reserve(path, 4096)
    reserve.hold()
    journal = Journal(Full(state, path), reserve)
    with pytest.raises(LocalFault):
        journal.queue_append(INBOX, b"sealed", NONE, WHEN)
    assert path.exists()


def test_what_is_not_on_the_disk_is_not_promised(state, tmp_path):
    journal = Journal(state, Reserve(tmp_path / "reserve"))
    full = Full(state, tmp_path)  # which nothing frees
    journal._state = full
    with pytest.raises(LocalFault):
        journal.delete(INBOX, [1])
    assert state.read("SELECT count(*) FROM journal") == [(0,)]


def test_no_room_for_the_reserve_is_no_fault(tmp_path):
    reserve = Reserve(tmp_path / "missing" / "reserve")
    assert not reserve.hold()
    reserve.give()


@pytest.fixture
def box(tmp_path):
    database = cache.open_cache(tmp_path / "cache.db", bytes(32))
    local = mailboxes.put(database, "INBOX", 7, None, True)
    yield database, local
    database.close()


def flags(database, local):
    return {uid: set(value) for uid, value in contents.server_flags(database, local.id).items()}


def test_the_server_undoes_no_promise(journal, box):
    database, local = box
    found = [Skeleton(uid, f"e{uid}", NONE, 0) for uid in (1, 2, 3)]
    contents.add(database, local.id, found)
    journal.flags(INBOX, [Change((1,), SEEN, FLAGGED)])
    contents.change(database, local.id, (1,), SEEN, FLAGGED)
    assert flags(database, local)[1] == {"\\Seen"}
    contents.tell(database, local.id, [(1, FLAGGED, 0), (2, FLAGGED, 0)], (), journal)
    assert flags(database, local) == {1: {"\\Seen"}, 2: {"\\Flagged"}, 3: set()}


def test_a_promise_outlives_the_cache(journal, box):
    """What was deleted is not there though the server lists it, and flags are as promised."""
    database, local = box
    journal.delete(INBOX, [2])
    journal.flags(INBOX, [Change((3,), SEEN, NONE)])
    found = [Skeleton(uid, f"e{uid}", NONE, 0) for uid in (1, 2, 3)]
    contents.add(database, local.id, found, journal)
    assert flags(database, local) == {1: set(), 3: {"\\Seen"}}


def test_a_change_that_changes_nothing_is_none(box):
    database, local = box
    contents.add(database, local.id, [Skeleton(1, "e1", SEEN, 0)])
    mailboxes.listed(database, local.id, uidnext=2, upstream_modseq=1)
    before = contents.entries(database, local.id)
    contents.change(database, local.id, (1, 9), SEEN, NONE)
    assert contents.entries(database, local.id) == before


def test_an_import_that_was_refused_may_be_imported_again(journal):
    digest = journal.import_digest(INBOX, b"mail")
    row = journal.queue_append(INBOX, b"sealed", [], WHEN, digest)
    assert journal.was_imported(digest)
    journal.refuse([one for one in journal.pending() if one.id == row], "OVERQUOTA")
    assert not journal.was_imported(digest)


def test_refused_mail_of_two_accounts_is_saved_into_one_folder(journal, tmp_path, clock):
    other = Journal(
        cache.open_state(tmp_path / "other.db", bytes(32)), Reserve(tmp_path / "reserve2"), clock
    )
    for one, octets in ((journal, b"one"), (other, b"two")):
        one.queue_append(INBOX, octets, [], WHEN)
        one.refuse(one.pending(), "OVERQUOTA")
        assert repairing.save_refused(one, tmp_path / "saved") == 1
        assert one.entries(State.REFUSED) == []
    found = sorted(path.read_bytes() for path in (tmp_path / "saved").iterdir())
    assert found == [b"one", b"two"]


def test_refused_mail_that_another_program_saves_is_not_overwritten(journal, tmp_path, monkeypatch):
    journal.queue_append(INBOX, b"one", [], WHEN)
    journal.refuse(journal.pending(), "OVERQUOTA")
    entries = journal.entries(State.REFUSED)
    assert repairing.save_refused(journal, tmp_path / "saved") == 1
    monkeypatch.setattr(journal, "entries", lambda _: entries)
    assert repairing.save_refused(journal, tmp_path / "saved") == 0
    assert [path.read_bytes() for path in (tmp_path / "saved").iterdir()] == [b"one"]
