"""Base subjects and threads: the RFC's rules, a model, and mail that was made to be slow."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2email_protocol.imap.extensions import Outline
from e2email_protocol.imap.forest import Node, render
from e2email_protocol.imap.limits import REFERENCES, SUBJECT, THREAD_NESTING
from e2email_protocol.imap.outline import base_subject, message_ids, outline_of
from e2email_protocol.imap.threads import ordered_subject, references


def outline(number: int, refs=(), subject: str = "", sent: int | None = None, own: str = ""):
    sent = number if sent is None else sent
    own = own or f"m{number}"
    return number, Outline(number, 0, sent, 1, subject, "", "", "", own, tuple(refs))


def told(roots: list[Node]) -> str:
    return b"".join(map(render, roots)).decode()


@pytest.mark.parametrize(
    ("subject", "base", "reply"),
    [
        ("hello", "hello", False),
        ("  Hello \t World ", "hello world", False),
        ("Re: hello", "hello", True),
        ("RE[2] : hello", "hello", True),
        ("Fwd: FW: re: hello", "hello", True),
        ("[list] hello", "hello", False),
        ("[list] Re: [other] hello (fwd) (FWD)", "hello", True),
        ("[a][b]", "[b]", False),
        ("[fwd: Re: [x] hi]", "hi", True),
        ("[Fwd: [Fwd: a]]", "a", True),
        ("Regarding: x", "regarding: x", False),
        ("x (fwd) y", "x (fwd) y", False),
        ("re:", "", True),
        ("[fwd:]", "", True),
        ("(fwd)", "", True),
        ("", "", False),
        ("[[a]] x", "[[a]] x", False),
        ("Straße", "strasse", False),
    ],
)
def test_base_subject(subject, base, reply):
    assert base_subject(subject) == (base, reply)


@given(st.text("re:fwd[] ()x", max_size=40))
def test_a_base_subject_has_nothing_more_to_take_off(text):
    base, _ = base_subject(text)
    again, reply = base_subject(base)
    assert (again, reply) == (base, False)


@pytest.mark.parametrize("piece", ["re:", "[a]", "[fwd:", "re[a]", "(fwd)", "[", "re ", "[a] re"])
def test_base_subjects_of_hostile_text(piece):
    base_subject(piece * SUBJECT + "x")
    base_subject("x" + piece * SUBJECT)


def test_outline_of_a_header():
    header = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j.doe@example.test>, other@example.test\r\n"
        b"To: Friends: bob@example.test;\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        b"Date: Tue, 3 Nov 2026 12:30:05 +0100\r\n"
        b"Message-ID: <one@\r\n x>\r\n"
        b"In-Reply-To: <never@used>\r\n"
        b"References: <a@x>\r\n\t<b@x><c@x>\r\n\r\nSubject: not this\r\n"
    )
    found = outline_of(7, 5, 99, header)
    assert (found.uid, found.arrived, found.size) == (7, 5, 99)
    assert (found.sender, found.to, found.cc) == ("j.doe", "Friends", "")
    assert (found.subject, found.sent) == ("Grüße", 1793705405)
    assert (found.message_id, found.references) == ("one@x", ("a@x", "b@x", "c@x"))
    assert outline_of(7, 5, 99, b"In-Reply-To: <a@x> <b@x>\r\n").references == ("a@x",)
    assert outline_of(7, 5, 99, b"Date: whenever\r\n").sent == 5


def test_an_outline_shows_no_text():
    header = (
        b"From: canary@x\r\nSubject: canary\r\nMessage-ID: <canary>\r\nReferences: <canary>\r\n"
    )
    assert "canary" not in repr(outline_of(1, 2, 3, header + b"To: canary@x\r\nCc: canary@x\r\n"))


def test_of_very_many_references_the_first_and_the_last_count():
    value = b" ".join(b"<%d@x>" % n for n in range(10 * REFERENCES))
    found = message_ids(value)
    assert len(found) == REFERENCES
    assert (found[0], found[1], found[-1]) == ("0@x", f"{9 * REFERENCES + 1}@x", "999@x")


@pytest.mark.parametrize(
    ("messages", "threads"),
    [
        ([], ""),
        ([outline(1), outline(2)], "(1)(2)"),
        ([outline(1), outline(2, ["m1"]), outline(3, ["m1", "m2"])], "(1 2 3)"),
        ([outline(1), outline(2, ["m1"]), outline(3, ["m1"])], "(1 (2)(3))"),
        # one that is not here: its only child takes its place, several stay together
        ([outline(2, ["m1"]), outline(3, ["m2"])], "(2 3)"),
        ([outline(2, ["m1"]), outline(3, ["m1"])], "((2)(3))"),
        ([outline(1), outline(4, ["m1", "m2", "m3"])], "(1 4)"),
        ([outline(4, ["m1", "m2"]), outline(5, ["m1", "m3"])], "((4)(5))"),
        # what a message says of itself goes before what others say of it
        ([outline(1), outline(2), outline(3, ["m2"]), outline(4, ["m1", "m3"])], "(1)(2 3 4)"),
        # loops, oneself, the same id twice
        ([outline(1, ["m2"]), outline(2, ["m1"])], "(2 1)"),
        ([outline(1, ["m1"]), outline(2, ["m2", "m2"])], "(1)(2)"),
        ([outline(1), outline(2, own="m1"), outline(3, ["m1"])], "(1 3)(2)"),
        ([outline(1, own=" "), outline(2, own=" ")], "(1)(2)"),
        # order is that of the Date fields, at every level
        (
            [outline(1, sent=9), outline(2, ["m1"], sent=8), outline(3, ["m1"], sent=7)],
            "(1 (3)(2))",
        ),
        ([outline(1, sent=9), outline(2, sent=8)], "(2)(1)"),
        ([outline(1, sent=5), outline(2, ["x"], sent=5), outline(3, ["x"], sent=5)], "(1)((2)(3))"),
        # by subject: a reply below what it answers, equals beside each other
        ([outline(1, subject="a"), outline(2, subject="Re: a")], "(1 2)"),
        ([outline(1, subject="Re: a"), outline(2, subject="a")], "(2 1)"),
        ([outline(1, subject="a"), outline(2, subject="a")], "((1)(2))"),
        ([outline(1, subject="Re: a"), outline(2, subject="Re: a")], "((1)(2))"),
        ([outline(n, subject="a") for n in (1, 2, 3)], "((1)(2)(3))"),
        ([outline(1, subject="Re:"), outline(2, subject="")], "(1)(2)"),
        (
            [
                outline(1, ["x"], "a"),
                outline(2, ["x"], "a"),
                outline(3, ["y"], "Re: a"),
                outline(4, ["y"], "Re: a"),
                outline(5, subject="a"),
            ],
            "((1)(2)(3)(4)(5))",
        ),
    ],
)
def test_references(messages, threads):
    assert told(references(messages)) == threads


@pytest.mark.parametrize(
    ("messages", "threads"),
    [
        ([], ""),
        (
            [outline(1, subject="a"), outline(2, subject="b"), outline(3, subject="Re: a")],
            "(1 3)(2)",
        ),
        ([outline(n, subject="a", sent=-n) for n in (1, 2, 3)], "(3 (2)(1))"),
        ([outline(1, subject="b", sent=2), outline(2, subject="a", sent=1)], "(2)(1)"),
    ],
)
def test_ordered_subject(messages, threads):
    assert told(ordered_subject(messages)) == threads


def parents(text: str) -> dict[int, int]:
    """number → its parent's (0: it has none; -n: below an absent message, with n the first)."""
    found: dict[int, int] = {}
    stack: list[int] = []
    current = 0
    for token in re.findall(r"\(|\)|\d+", text):
        if token == "(":
            stack.append(current)
        elif token == ")":
            current = stack.pop()
        else:
            found[int(token)] = current
            current = int(token)
        if not stack:
            current = 0
    return found


@st.composite
def discussions(draw):
    """Trees of replies with full References, of which only some messages are here."""
    size = draw(st.integers(1, 12))
    parent = [0, *(draw(st.integers(0, n - 1)) for n in range(1, size + 1))]
    here = draw(st.sets(st.integers(1, size), min_size=1))
    return parent, sorted(here)


@given(discussions(), st.randoms(use_true_random=False))
def test_every_message_is_below_the_nearest_one_it_answers(discussion, rng):
    parent, here = discussion

    def line(number: int) -> list[int]:
        found = []
        while parent[number]:
            number = parent[number]
            found.append(number)
        return found

    messages = [outline(n, [f"m{a}" for a in reversed(line(n))], f"about {n}") for n in here]
    expected = {n: next((a for a in line(n) if a in here), 0) for n in here}
    text = told(references(messages))
    assert parents(text) == expected
    rng.shuffle(messages)
    assert told(references(messages)) == text


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 12), max_size=4),
            st.sampled_from(["", "a", "Re: a", "b"]),
            st.integers(0, 3),
            st.integers(0, 12),
        ),
        max_size=14,
    )
)
@settings(max_examples=300)
def test_whatever_mail_claims_every_message_is_told_once(claims):
    messages = [
        outline(n, [f"m{r}" for r in refs], subject, sent, f"m{own}")
        for n, (refs, subject, sent, own) in enumerate(claims, 1)
    ]
    for algorithm in (references, ordered_subject):
        text = told(algorithm(messages))
        assert sorted(map(int, re.findall(r"\d+", text))) == list(range(1, len(claims) + 1))
        assert not re.search(r"\(\)|\( |\s\)|\)\d|\d\(", text)


def nesting(text: str) -> int:
    depth = deepest = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        deepest = max(deepest, depth)
    assert depth == 0
    return deepest


MANY = 20_000


@pytest.mark.parametrize(
    "refs",
    [
        lambda n: [f"m{n - 1}"],  # one long line
        lambda n: [f"m{n + 1}"],  # the same, backwards
        lambda n: [f"m{n - 2 + n % 2}"],  # branches at every second
        lambda n: [f"x{n}", f"x{n + 1}"],  # a chain of absent messages, each with one here
        lambda n: ["x"],  # all below one that is absent
        lambda n: [f"m{n * 7919 % MANY}", f"m{n * 104729 % MANY}"],
    ],
)
def test_hostile_references_cost_no_square(refs):
    """Twenty thousand messages: with a square of steps this would take minutes."""
    text = told(references([outline(n, refs(n), f"s{n}") for n in range(1, MANY + 1)]))
    assert len(re.findall(r"\d+", text)) == MANY
    assert nesting(text) <= THREAD_NESTING
