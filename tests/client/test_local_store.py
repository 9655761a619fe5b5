"""The encrypted local store: mailboxes, mail, words."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2

from e2email_client.local import browse, cache, contents, mailboxes, mails, reads, words
from e2email_client.local.cipher import Database, StoreUnreadable
from e2email_client.local.contents import Skeleton
from e2email_client.local.fold import fold
from e2email_client.local.mails import Body, State
from support.local_mail import CANARY, KEY, fill, summary


@pytest.fixture
def store(tmp_path: Path):
    database = cache.open_cache(tmp_path / "cache.db", KEY)
    yield database
    database.close()


def body(text: str = "", view: bytes = b"view", delivered: bytes = b"view") -> Body:
    return Body(view, delivered, 0, b"", fold(text))


def found(store: Database, query: str) -> list[tuple[str, int, str]]:
    words.index_all(store)
    return [(row.mailbox, row.uid, row.email_id) for row in browse.search(store, query, None, 10)]


def test_entries_ascend_and_changes_have_a_higher_modseq(store: Database) -> None:
    box = fill(store, 3)
    before = mailboxes.named(store, "INBOX")
    assert before is not None
    assert [entry.uid for entry in contents.entries(store, box.id)] == [1, 2, 3]
    said = [(2, frozenset({"\\Flagged"}), 0), (3, frozenset({"\\Seen"}), 0)]
    contents.tell(store, box.id, said, ())
    changed = contents.entries(store, box.id, before.modseq)
    assert [(entry.uid, entry.flags) for entry in changed] == [(2, frozenset({"\\Flagged"}))]


def test_expunged_mail_is_forgotten_with_its_body_and_words(store: Database) -> None:
    box = fill(store, 2)
    mails.put_bodies(store, [("e1", summary(), body("haystack"))])
    before = mailboxes.named(store, "INBOX")
    assert before is not None
    contents.remove(store, box.id, [1])
    assert contents.vanished(store, box.id, before.modseq) == [1]
    assert mails.summary(store, "e1") is not None  # it may come to light in another mailbox
    mailboxes.sweep(store)
    assert mails.summary(store, "e1") is None
    assert mails.body(store, "e1") is None
    assert browse.search(store, "haystack", None, 10) == []


def test_a_record_in_two_mailboxes_outlives_one_of_them(store: Database) -> None:
    box = fill(store, 1)
    other = mailboxes.put(store, "Archive", 8, "\\Archive", True)
    contents.add(store, other.id, [Skeleton(5, "e1", frozenset(), 0)])
    mails.put_bodies(store, [("e1", summary(), body("haystack"))])
    contents.remove(store, box.id, [1])
    assert found(store, "hay") == [("Archive", 5, "e1")]
    mailboxes.drop(store, [other])
    mailboxes.sweep(store)
    assert mails.body(store, "e1") is None


def test_another_uidvalidity_empties_the_mailbox(store: Database) -> None:
    fill(store, 2)
    box = mailboxes.put(store, "INBOX", 9, None, True)
    assert box.uidvalidity == 9
    assert contents.entries(store, box.id) == []
    mailboxes.sweep(store)
    assert store.read("SELECT count(*) FROM mail") == [(0,)]


def test_a_final_summary_is_not_replaced_by_a_claim(store: Database) -> None:
    fill(store, 1)
    mails.put_summaries(store, [("e1", summary("first"))])
    mails.put_summaries(store, [("e1", summary("second"))])
    found = mails.summary(store, "e1")
    assert found is not None
    assert found == summary("first")


def test_wanting_lists_the_newest_first(store: Database) -> None:
    box = fill(store, 3)
    mails.put_summaries(store, [("e2", summary())])
    assert mails.wanting(store, box.id, State.READY) == [(3, "e3"), (1, "e1")]


def test_the_original_is_kept_beside_a_different_view(store: Database) -> None:
    fill(store, 1)
    mails.put_bodies(store, [("e1", summary(), body("", b"opened", b"as delivered"))])
    found = mails.body(store, "e1")
    assert found is not None
    assert (found.view, found.delivered) == (b"opened", b"as delivered")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("grüße", True),
        ("grusse", True),
        ("STRASSE", False),
        ("日本", True),
        ("本語", True),
        ("語日", False),
        ('gr" OR "x', False),
        ("*", False),
        ("", False),
        ("zeppelin grü", True),
    ],
)
def test_words(store: Database, query: str, found: bool) -> None:
    fill(store, 1)
    mails.put_bodies(store, [("e1", summary("Zeppelin"), body("Grüße aus 日本語 land"))])
    words.index_all(store)
    assert bool(browse.search(store, query, None, 10)) is found


def test_nothing_readable_is_on_disk(tmp_path: Path) -> None:
    database = cache.open_cache(tmp_path / "cache.db", KEY)
    fill(database, 1)
    mails.put_bodies(database, [("e1", summary(CANARY), body(CANARY, CANARY.encode()))])
    found = [path for path in tmp_path.iterdir() if CANARY.encode() in path.read_bytes()]
    database.close()
    assert found == []
    assert (tmp_path / "cache.db").stat().st_mode & 0o077 == 0


def test_a_cache_under_another_key_is_made_anew_and_a_state_is_refused(tmp_path: Path) -> None:
    for name in ("cache.db", "state.db"):
        cache.open_cache(tmp_path / name, KEY).close()
    other = os.urandom(32)
    assert mailboxes.every(cache.open_cache(tmp_path / "cache.db", other)) == []
    with pytest.raises(StoreUnreadable):
        cache.open_state(tmp_path / "state.db", other)


def test_a_failed_write_leaves_nothing(store: Database) -> None:
    with pytest.raises(RuntimeError), store.write() as writer:
        writer.execute("INSERT INTO mail (email_id) VALUES ('x')")
        raise RuntimeError
    assert store.read("SELECT count(*) FROM mail") == [(0,)]


def test_reprs_show_no_mail() -> None:
    assert CANARY not in repr(summary(CANARY))
    assert CANARY not in repr(body(CANARY))


def test_ten_thousand_skeletons(store: Database) -> None:
    box = fill(store, 10_000)
    assert [one.uid for one in contents.entries(store, box.id)] == list(range(1, 10_001))
    mails.put_summaries(store, [("e5000", summary())])
    wanted = mails.wanting(store, box.id, State.READY)
    assert len(wanted) == 9_999
    assert (wanted[0], wanted[-1]) == ((10_000, "e10000"), (1, "e1"))
    uids = range(1, 10_001)
    assert len(mails.lacking(store, box.id, uids, State.READY)) == 9_999
    assert len(reads.known(store, box.id, uids)) == 10_000
    assert mails.sizes(store, box.id, uids)[5000] == 10


def test_what_failed_too_often_is_left_to_those_who_ask_for_it(store: Database) -> None:
    box = fill(store, 1)
    for _ in range(mails.MOST_TRIES):
        assert mails.wanting(store, box.id, State.READY) == [(1, "e1")]
        mails.put_off(store, ["e1"])
    assert mails.wanting(store, box.id, State.READY) == []
    assert mails.lacking(store, box.id, [1], State.READY) == [(1, "e1")]


def test_a_mailbox_id_is_never_given_twice(store: Database) -> None:
    box = fill(store, 1)
    assert mailboxes.put(store, "INBOX", 8, None, True).id != box.id


def test_a_summary_is_written_again_only_if_it_is_another(store: Database) -> None:
    fill(store, 1)
    mails.put_summaries(store, [("e1", summary())])
    with store.write() as writer:
        writer.execute("UPDATE outline SET subject = 'kept'")
    mails.put_bodies(store, [("e1", summary(state=State.OPENED), body())])
    assert store.read("SELECT subject FROM outline") == [("kept",)]
    mails.put_bodies(store, [("e1", summary("another", State.OPENED), body())])
    assert store.read("SELECT subject FROM outline") != [("kept",)]  # what is made of it, too
    found = mails.summary(store, "e1")
    assert found is not None
    assert (found.subject, found.state) == ("another", State.OPENED)


def test_mail_is_searched_only_when_its_words_are_indexed(store: Database) -> None:
    fill(store, 250)
    mails.put_bodies(
        store, [(f"e{n}", summary(state=State.OPENED), body("word")) for n in range(1, 251)]
    )
    assert words.unindexed(store) == 250
    assert words.index(store) == words.AT_ONCE
    assert words.unindexed(store) == 250 - words.AT_ONCE
    words.index_all(store)
    assert (words.unindexed(store), words.index(store)) == (0, 0)
    assert len(browse.search(store, "word", None, 300)) == 250
    mails.put_bodies(store, [("e1", summary(state=State.OPENED), body("other"))])
    words.index_all(store)
    assert len(browse.search(store, "word", None, 300)) == 249


def test_closing_leaves_a_thread_that_reads_its_connection(tmp_path, monkeypatch):
    database = Database(tmp_path / "a.db", bytes(32), synchronous="NORMAL")
    began, goes_on = threading.Event(), threading.Event()

    def waits() -> int:
        began.set()
        goes_on.wait(10)
        return 7

    reader = database._reader()
    reader.create_function("waits", 0, waits)
    database._idle.append(reader)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(database.read, "SELECT waits()")
        assert began.wait(10)
        database.close()
        goes_on.set()
        assert reading.result(10) == [(7,)]
    with pytest.raises(dbapi2.ProgrammingError):
        reader.execute("SELECT 1")
