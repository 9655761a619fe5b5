"""The document that devices share: whatever order it is merged in, all come to the same."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_client import state_document
from e2email_client.shared_state import RULES
from e2email_client.state_document import (
    KEY_MAX,
    SECTIONS,
    DocumentInvalid,
    Entry,
    decode,
    encode,
)

AT = st.tuples(st.sampled_from(("devices", "care", "settings")), st.sampled_from("abc"))
VALUES = st.none() | st.integers(0, 3) | st.text(max_size=3) | st.dictionaries(st.text(), st.none())
DOCUMENTS = st.dictionaries(AT, st.builds(Entry, st.integers(0, 4), VALUES), max_size=6)


def merge(one, other):
    return state_document.merge(one, other, {})


@given(DOCUMENTS, DOCUMENTS)
def test_merging_commutes_and_is_idempotent(one, other):
    both = merge(one, other)
    assert encode(both) == encode(merge(other, one))
    assert encode(merge(both, one)) == encode(both)
    assert encode(merge(one, one)) == encode(one)


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_merging_associates(one, two, three):
    assert encode(merge(merge(one, two), three)) == encode(merge(one, merge(two, three)))


@given(DOCUMENTS)
def test_what_is_written_is_read(document):
    assert decode(encode(document)) == document


def test_the_newest_stays_also_where_it_is_a_removal():
    at = ("care", "drill")
    old, removed, new = Entry(1, "a"), Entry(2, None), Entry(3, "b")
    assert merge({at: old}, {at: removed}) == {at: removed}
    assert merge({at: removed}, {at: new}) == {at: new}


def _document(**changes):
    return {"sections": {name: {} for name in SECTIONS}, "version": 1} | changes


def _spelled(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        json.dumps(_document()).encode(),
        b'{"sections":{},"sections":{},"version":1}',
        _spelled(_document(version=2)),
        _spelled(_document(more=1)),
        _spelled(_document(sections={})),
        _spelled(_document(sections={name: [] for name in SECTIONS})),
        _spelled(_document(sections={name: {} for name in (*SECTIONS, "other")})),
    ],
)
def test_what_is_no_document_is_refused(payload):
    with pytest.raises(DocumentInvalid):
        decode(payload)


@pytest.mark.parametrize(
    "entries",
    [
        {"": {"changed": 1, "value": 1}},
        {"x" * (KEY_MAX + 1): {"changed": 1, "value": 1}},
        {"a": {"changed": True, "value": 1}},
        {"a": {"changed": -1, "value": 1}},
        {"a": {"changed": 2**53, "value": 1}},
        {"a": {"changed": 1}},
        {"a": {"changed": 1, "value": 1, "by": 2}},
        {"a": 1},
    ],
)
def test_an_entry_outside_its_limits_is_refused(entries):
    sections = {name: {} for name in SECTIONS} | {"care": entries}
    with pytest.raises(DocumentInvalid):
        decode(_spelled(_document(sections=sections)))


def test_the_document_quotes_nothing_in_a_repr():
    assert "secret" not in repr(Entry(1, "secret"))


VECTORS = Path(__file__).parents[1] / "vectors" / "state"


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_vectors(path):
    """Each file as it says itself."""
    vector = json.loads(path.read_text())
    given = {name: text.encode() for name, text in vector["given"].items()}
    if vector["expect"] != "ok":
        with pytest.raises(DocumentInvalid):
            decode(given["payload"])
    elif "payload" in given:
        assert encode(decode(given["payload"])) == given["payload"]
    else:
        one, other = decode(given["one"]), decode(given["other"])
        expected = vector["gives"]["merged"].encode()
        assert encode(state_document.merge(one, other, RULES)) == expected
        assert encode(state_document.merge(other, one, RULES)) == expected
