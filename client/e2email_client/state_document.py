"""The document that an account's devices share: sections of entries, its spelling, its merging.

docs/specs/state.md. Bytes in and out; who keeps it and who sends it is shared_state.py.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

VERSION: Final = 1
CONTACTS, DEVICES, CARE, SETTINGS = "contacts", "devices", "care", "settings"
SECTIONS: Final = (CONTACTS, DEVICES, CARE, SETTINGS)
KEY_MAX: Final = 320  # characters; a mail address is the longest key there is
ENTRIES_MAX: Final = 20_000  # of all sections: an address book, not a directory
TIME_MAX: Final = 2**53 - 1  # exact in every JSON reader


class DocumentInvalid(ValueError):
    """Not a document of this version. Quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value with the time it was changed at, seconds since 1970. None: it was removed."""

    changed: int
    value: Any = field(repr=False)

    @property
    def rank(self) -> tuple[int, bytes]:
        """Of two, the higher one stays. Total, so that every device keeps the same one."""
        return self.changed, encode_value(self.value)

    def same(self, other: "Entry") -> bool:
        """Whether the values are spelled alike; to Python 1 is True."""
        return self.rank[1] == other.rank[1]


# (section, key) → entry; what was removed stays, else an older device would bring it back
Document = Mapping[tuple[str, str], Entry]
# For sections whose entries hold more than one change, in place of `newest`. Such a rule commutes,
# associates and is idempotent.
Rules = Mapping[str, Callable[[Entry, Entry], Entry]]


def newest(one: Entry, other: Entry) -> Entry:
    return max(one, other, key=lambda entry: entry.rank)


def merge(one: Document, other: Document, rules: Rules) -> dict[tuple[str, str], Entry]:
    """What both know. The order of merging, and how often, makes no difference."""
    merged = dict(one)
    for at, entry in other.items():
        known = merged.get(at)
        merged[at] = entry if known is None else rules.get(at[0], newest)(known, entry)
    return merged


def encode_value(value: Any) -> bytes:
    """Sorted members, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def encode(document: Document) -> bytes:
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for (section, key), entry in document.items():
        sections[section][key] = {"changed": entry.changed, "value": entry.value}
    return encode_value({"sections": sections, "version": VERSION})


def decode(payload: bytes) -> dict[tuple[str, str], Entry]:
    """Raises DocumentInvalid."""
    try:
        found = json.loads(payload, parse_float=_no_integer, parse_constant=_no_integer)
        if encode_value(found) != payload:  # also doubled members
            raise DocumentInvalid("not in canonical form")
    except (ValueError, RecursionError):
        raise DocumentInvalid("not canonical JSON") from None
    if not isinstance(found, dict) or found.get("version") is True:  # which equals 1
        raise DocumentInvalid("not a document")
    if found.get("version") != VERSION:
        raise DocumentInvalid("of another version")
    sections = found.get("sections")
    if not isinstance(sections, dict) or sections.keys() != set(SECTIONS) or len(found) != 2:
        raise DocumentInvalid("other sections than there are")
    return check(
        (section, key, value)
        for section, entries in sections.items()
        for key, value in _members(entries)
    )


def _no_integer(spelt: str) -> None:
    """Programs differ in how they spell other numbers, and some have none that are no number."""
    raise ValueError


def check(found: Iterable[tuple[str, str, Any]]) -> dict[tuple[str, str], Entry]:
    document: dict[tuple[str, str], Entry] = {}
    for section, key, value in found:
        if not 0 < len(key) <= KEY_MAX or len(document) == ENTRIES_MAX:
            raise DocumentInvalid("a key too long, or too many")
        document[section, key] = _entry(value)
    return document


def _members(entries: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(entries, dict):
        raise DocumentInvalid("a section is not an object")
    return entries.items()


def _entry(value: Any) -> Entry:
    if not isinstance(value, dict) or value.keys() != {"changed", "value"}:
        raise DocumentInvalid("an entry has other members")
    changed = value["changed"]
    if type(changed) is not int or not 0 <= changed <= TIME_MAX:
        raise DocumentInvalid("a time is outside its limits")
    return Entry(changed, value["value"])
