"""Mailbox names and flags: the rules that both stores share."""

import secrets
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from e2email_server.store.errors import BadName, LimitReached
from e2email_server.store.types import Entry, FlagOp, Flags

INBOX = "INBOX"
SEPARATOR = "/"
MAX_NAME = 512  # octets of UTF-8; file systems of mail programs end at 255 per level
MAX_LEVELS = 20
MAX_FLAGS = (
    8 * 1024
)  # octets of a message's flags, some hundred keywords: one STORE writes them often
MAX_MAILBOXES = 1000  # per account; a LIST reply stays below some 100 KB
DELETED = "\\Deleted"
SEEN = "\\Seen"


def mailbox_name(name: str) -> str:
    """The name as it is stored: INBOX in capitals, at its root too. Raises BadName."""
    levels = name.split(SEPARATOR)
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    if (
        not all(levels)
        or len(levels) > MAX_LEVELS
        or len(name.encode("utf-8", "replace")) > MAX_NAME
        or any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
    ):
        raise BadName("empty level, control character, or too long")
    return SEPARATOR.join(levels)


def renamed(name: str, old: str, new: str) -> str | None:
    """What becomes of `name` when `old` is renamed `new`: itself and inferiors move, else None."""
    if name == old:
        return new
    return new + name[len(old) :] if name.startswith(old + SEPARATOR) else None


def new_object_id() -> str:
    """A MAILBOXID: a letter first, as RFC 8474 §5.1 advises; 128 random bits."""
    return "M" + secrets.token_hex(16)


def flags_text(flags: Flags) -> str:
    """The stored form: sorted, parted by single spaces. Raises LimitReached."""
    text = " ".join(sorted(flags))
    if len(text) > MAX_FLAGS:
        raise LimitReached("more flags than a message may have")
    return text


@lru_cache(maxsize=4096)
def parse_flags(text: str) -> Flags:
    """The inverse. A mailbox has few different sets, so all its entries share them."""
    return frozenset(text.split())


def apply_flags(old: Flags, op: FlagOp, flags: Flags) -> Flags:
    """One STORE on one message."""
    if op is FlagOp.ADD:
        return old | flags
    return old - flags if op is FlagOp.REMOVE else flags


def select_changes(
    entries: Iterable[Entry], op: FlagOp, flags: Flags, unchanged_since: int | None
) -> tuple[list[tuple[Entry, Flags]], list[int]]:
    """(entries whose flags change, with the new flags; UIDs that UNCHANGEDSINCE leaves alone).

    Raises LimitReached.
    """
    made: dict[Flags, Flags] = {}  # most have the same: one object for all of them
    changes: list[tuple[Entry, Flags]] = []
    modified: list[int] = []
    for entry in entries:
        if unchanged_since is not None and entry.modseq > unchanged_since:
            modified.append(entry.uid)
            continue
        new = made.get(entry.flags)
        if new is None:
            new = made[entry.flags] = apply_flags(entry.flags, op, flags)
            flags_text(new)
        if new != entry.flags:
            changes.append((entry, new))
    return changes, modified
