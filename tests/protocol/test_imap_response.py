"""The client's reader: what servers send, cut anywhere; what hostile ones send, bounded."""

import random
import tracemalloc

import pytest

from e2email_protocol.imap import response_parse
from e2email_protocol.imap.response import Caps, ResponseReader
from e2email_protocol.imap.response_types import (
    BadResponse,
    Capability,
    Code,
    Condition,
    Continuation,
    Enabled,
    ESearch,
    Exists,
    Expunge,
    Fetch,
    Flags,
    ListReply,
    Other,
    Recent,
    Search,
    StatusReply,
    Tagged,
    Vanished,
)


def read(*octets: bytes) -> list:
    reader = ResponseReader()
    found = []
    for piece in octets:
        reader.feed(piece)
        found += reader
    assert reader.between_responses
    return found


@pytest.mark.parametrize(
    ("line", "response"),
    [
        (b"* OK hello {5}", Condition(b"OK", None, b"hello {5}")),
        (b"* OK [CAPABILITY A B] hi", Condition(b"OK", Code(b"CAPABILITY", b"A B"), b"hi")),
        (b"* BYE", Condition(b"BYE", None, b"")),
        (b"* no [ALERT] x", Condition(b"NO", Code(b"ALERT"), b"x")),
        (
            b"a1 OK [APPENDUID 1 2] done",
            Tagged(b"a1", b"OK", Code(b"APPENDUID", b"1 2"), b"done"),
        ),
        (b"a1 NO text {3}", Tagged(b"a1", b"NO", None, b"text {3}")),
        (b"a1 BAD", Tagged(b"a1", b"BAD", None, b"")),
        (b"+ idling", Continuation(b"idling")),
        (b"+", Continuation(b"")),
        (b"* 3 EXISTS", Exists(3)),
        (b"* 0 RECENT", Recent(0)),
        (b"* 7 expunge", Expunge(7)),
        (b"* VANISHED (EARLIER) 1:3,5", Vanished(True, ((1, 3), (5, 5)))),
        (b"* VANISHED 4", Vanished(False, ((4, 4),))),
        (b"* SEARCH", Search([])),
        (b"* SEARCH 1 3", Search([1, 3])),
        (b"* SEARCH 1 3 (MODSEQ 9)", Search([1, 3], 9)),
        (
            b'* ESEARCH (TAG "a") UID COUNT 2 ALL 1:2',
            ESearch(b"a", True, {b"COUNT": b"2", b"ALL": b"1:2"}),
        ),
        (b"* ESEARCH COUNT 0", ESearch(None, False, {b"COUNT": b"0"})),
        (b"* CAPABILITY IMAP4rev1 IDLE", Capability(frozenset({b"IMAP4REV1", b"IDLE"}))),
        (b"* ENABLED QRESYNC", Enabled(frozenset({b"QRESYNC"}))),
        (b"* ENABLED", Enabled(frozenset())),
        (b"* FLAGS (\\Seen $a)", Flags(frozenset({"\\Seen", "$a"}))),
        (b'* LIST (\\Sent) "/" Sent', ListReply(b"LIST", frozenset({"\\Sent"}), "/", "Sent")),
        (b'* LIST () NIL "Entw&APw-rfe"', ListReply(b"LIST", frozenset(), None, "Entwürfe")),
        (b'* LSUB () "." "a\\"b* "', ListReply(b"LSUB", frozenset(), ".", 'a"b* ')),
        (b"* LIST () NIL inbox", ListReply(b"LIST", frozenset(), None, "INBOX")),
        (b'* STATUS "x" (MESSAGES 3 MAILBOXID (x))', StatusReply("x", {b"MESSAGES": 3}, "x")),
        (b'* NAMESPACE (("" "/")) NIL NIL', Other(b"NAMESPACE", [[[b"", b"/"]], None, None])),
    ],
)  # fmt: skip
def test_one_response(line, response):
    assert read(line + b"\r\n") == [response]


def test_fetch():
    (fetch,) = read(
        b'* 2 FETCH (UID 7 MODSEQ (1234567890123456789) FLAGS (\\Seen "x") ENVELOPE ("a" NIL '
        b'((NIL NIL "b" "c"))) BODY[HEADER.FIELDS (Date "x]y")]<0> {4}\r\n* \r\n'
        b" body[text] NIL RFC822.SIZE 9)\r\n"
    )
    assert (fetch.number, fetch.uid, fetch.modseq) == (2, 7, 1234567890123456789)
    assert fetch.flags == {"\\Seen", "x"}
    assert fetch.items[b"ENVELOPE"] == [b"a", None, [[None, None, b"b", b"c"]]]
    assert fetch.items[b'BODY[HEADER.FIELDS (DATE "X]Y")]<0>'] == b"* \r\n"
    assert fetch.items[b"BODY[TEXT]"] is None
    assert fetch.items[b"RFC822.SIZE"] == b"9"


def test_names_as_literals_and_lines_inside_literals():
    found = read(
        b'* LIST () "/" {9}\r\n* a\r\n1 OK\r\n'
        b"* 1 FETCH (BODY[] {21}\r\na1 OK x\r\n* 2 EXISTS\r\n)\r\na2 OK\r\n"
    )
    assert [type(r) for r in found] == [ListReply, Fetch, Tagged]
    assert found[0].name == "* a\r\n1 OK"
    assert found[1].items[b"BODY[]"] == b"a1 OK x\r\n* 2 EXISTS\r\n"


MIXED = (
    b"* OK [CAPABILITY IMAP4rev1] hi\r\n* 3 EXISTS\r\n+ go\r\n"
    b"* 1 FETCH (UID 1 BODY[] {5}\r\na\r\n\r\n FLAGS ())\r\n* VANISHED 3\r\n"
    b'* LIST () "/" {3}\r\n* {\r\n* 1 FETCH (X "a\\"{3}")\r\na1 OK [X] {5}\r\n'
    b"* 2 FETCH (BODY[] {0}\r\n)\r\n"
)


def test_cutting_changes_nothing():
    whole = read(MIXED)
    assert len(whole) == 9
    assert read(*(MIXED[i : i + 1] for i in range(len(MIXED)))) == whole
    for place in range(len(MIXED)):
        assert read(MIXED[:place], MIXED[place:]) == whole


def test_a_hundred_thousand_lines_in_one_write():
    lines = b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (n, n) for n in range(1, 100_001))
    found = read(lines)
    assert len(found) == 100_000
    assert found[-1].uid == 100_000


def test_vanished_in_the_middle_of_a_fetch():
    found = read(b"* 1 FETCH (UID 1)\r\n* VANISHED 2\r\n* 2 FETCH (UID 3)\r\na OK\r\n")
    assert [type(r) for r in found] == [Fetch, Vanished, Fetch, Tagged]


def test_a_literal_of_50_mb_is_copied_a_few_times_only():
    size = 50 * 1024 * 1024
    reader = ResponseReader()
    tracemalloc.start()
    reader.feed(b"* 1 FETCH (BODY[] {%d}\r\n" % size)
    assert list(reader) == []
    for _ in range(size // 65536):
        reader.feed(b"x" * 65536)
        assert list(reader) == []
    reader.feed(b")\r\n")
    (fetch,) = reader
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(fetch.items[b"BODY[]"]) == size
    assert peak < 2.2 * size


@pytest.mark.parametrize(
    "octets",
    [
        b"* 1 FETCH (BODY[] {4294967295}\r\n",
        b"* 1 FETCH (BODY[] {99999999999999999999}\r\n",
        b"x" * 70_000,
        b"* X " + b"(" * 1000 + b"\r\n",
        b"* X )\r\n",
        b"* X (\r\n",
        b'* X "abc\r\n',
        b"* 1 FETCH UID 1\r\n",
        b"* 1 FETCH (UID)\r\n",
        b"* 1 FETCH ((UID) 1)\r\n",
        b"* STATUS x\r\n",
        b"* LIST x\r\n",
        b"* LIST () (x) y\r\n",
        b"* SEARCH one\r\n",
        b"* VANISHED (EARLIER)\r\n",
        b"* VANISHED 1:x\r\n",
        b"*\r\n",
        b"\r\n",
        b"* ???\r\n",
        b"a1 MAYBE\r\n",
    ],
)
def test_what_is_no_response_is_refused(octets):
    reader = ResponseReader(Caps(line=65536, response=1 << 20))
    reader.feed(octets)
    with pytest.raises(BadResponse) as error:
        list(reader)
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("item", [b"UID x", b"UID (1)", b"MODSEQ (x)"])
def test_a_number_that_is_none(item):
    (fetch,) = read(b"* 1 FETCH (%b)\r\n" % item)
    with pytest.raises(BadResponse):
        _ = (fetch.uid, fetch.modseq)


def test_many_literals_count_together():
    reader = ResponseReader(Caps(line=65536, response=1 << 20))
    reader.feed(b"* 1 FETCH (" + (b"X {1000}\r\n" + b"x" * 1000 + b" ") * 2000)
    with pytest.raises(BadResponse):
        list(reader)


def test_random_octets_raise_nothing_else():
    rng = random.Random(3)
    words = b'* |1 |FETCH |(|)|"|\\|{3}\r\n|\r\n|BODY[|]|LIST |STATUS |VANISHED |ESEARCH |SEARCH '
    words = [*words.split(b"|"), b"OK ", b"[", b"NIL ", b"a"]
    for _ in range(5000):
        reader = ResponseReader()
        reader.feed(b"* " + b"".join(rng.choices(words, k=12)) + rng.randbytes(2) + b"\r\n")
        try:
            for response in reader:
                repr(response)
        except BadResponse:
            pass


def test_mail_and_names_are_not_in_the_repr():
    found = read(b'* 1 FETCH (BODY[] "canary")\r\n* LIST () "/" canary\r\n* STATUS canary ()\r\n')
    found += read(b"* X canary\r\n* SEARCH 1\r\n")
    assert "canary" not in repr(found)


def test_the_short_way_through_a_fetch_comes_to_the_same(monkeypatch):
    pieces = [b"UID", b"FLAGS", b"MODSEQ", b"x.y", b"12", b"\\Seen", b"NIL", b"nil", b"a-b", b"*"]
    pieces += [b" ", b" ", b" ", b" ", b"(", b")", b"()", b'"', b'"a b"', b"\\", b"[", b"]", b"\t"]
    pieces += [b"{1}", b"\0", b"\xff", b" (\\Seen own) ", b"UID 7", b"BODY[TEXT]"]
    chance = random.Random(8)
    lines = [b"".join(chance.choices(pieces, k=chance.randrange(8))) for _ in range(20_000)]
    lines += [b"UID 7 FLAGS (\\Seen) MODSEQ (9)", b'INTERNALDATE "1-Jan-2026" EMAILID (E7)', b""]

    def read(line: bytes) -> object:
        try:
            return response_parse.parse([b"* 1 FETCH (" + line + b")"])
        except BadResponse:
            return None

    found = [read(line) for line in lines]
    assert sum(response_parse._items([b"(%b)" % line], 0) is not None for line in lines) > 500
    monkeypatch.setattr(response_parse, "_items", lambda *_: None)
    assert found == [read(line) for line in lines]
