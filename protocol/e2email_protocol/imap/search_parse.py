"""The grammar of search-key (RFC 3501 §9 and the extensions' RFCs)."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from .cursor import Cursor
from .dates import parse_date
from .errors import BadCharset, BadCommand, LimitReached
from .limits import NESTING, SEARCH_KEYS, TEXT_KEYS
from .search_keys import (
    All,
    And,
    Arrived,
    EmailId,
    HasFlag,
    InText,
    Key,
    Larger,
    Modseq,
    Not,
    Numbers,
    Or,
    Recent,
    Saved,
    SaveDates,
    Smaller,
    ThreadId,
    Uids,
    Within,
)
from .session import BodyKey, HeaderKey, SentKey, TextKey, TextSearch, When

_SIMPLE: dict[bytes, Key] = {
    b"ALL": All(),
    b"SAVEDATESUPPORTED": SaveDates(),
    b"RECENT": Recent(),
    b"OLD": Not(Recent()),
    b"NEW": And((Recent(), Not(HasFlag("\\Seen")))),
}
for _flag in ("Answered", "Deleted", "Draft", "Flagged", "Seen"):
    _SIMPLE[_flag.upper().encode()] = HasFlag("\\" + _flag)
    _SIMPLE[b"UN" + _flag.upper().encode()] = Not(HasFlag("\\" + _flag))

# Not every codec of Python is a charset, and some (idna, punycode) are slow on purpose-made text
_CHARSETS = frozenset(
    [
        *("ascii", "utf-8", "utf-16", "utf-16-be", "utf-16-le", "utf-7"),
        *("koi8-r", "koi8-u", "tis-620", "gb2312", "gbk", "gb18030", "big5"),
        *("euc_kr", "euc_jp", "shift_jis", "iso2022_jp", "iso2022_kr"),
        *("cp437", "cp850", "cp852", "cp866", "cp874"),
        *(f"iso8859-{n}" for n in range(1, 17)),
        *(f"cp125{n}" for n in range(9)),
    ]
)


def parse_charset(wire: bytes) -> str:
    """The codec's name; BadCharset where we know none."""
    try:
        name = codecs.lookup(wire.decode("ascii")).name
    except (LookupError, ValueError) as error:
        raise BadCharset from error
    if name not in _CHARSETS:
        raise BadCharset
    return name


def parse_keys(cursor: Cursor, charset: str | None) -> tuple[Key, ...]:
    """search-key *(SP search-key), to the end of the command."""
    return _Parser(cursor, charset or "utf-8").keys(b"")


class _Parser:
    """Recursive, and so bounded: parentheses, NOT and OR count as one depth."""

    def __init__(self, cursor: Cursor, charset: str):
        self._cursor = cursor
        self._charset = charset
        self._texts = 0
        self._keys = 0

    def keys(self, closing: bytes, depth: int = 0) -> tuple[Key, ...]:
        keys = [self._key(depth)]
        while not (self._cursor.take(closing) if closing else self._cursor.at_end()):
            self._cursor.space()
            keys.append(self._key(depth))
        return tuple(keys)

    def _key(self, depth: int) -> Key:
        cursor = self._cursor
        if depth > NESTING:
            raise BadCommand(b"too deep")
        self._keys += 1
        if self._keys > SEARCH_KEYS:
            raise LimitReached
        if cursor.take(b"("):
            return And(self.keys(b")", depth + 1))
        if cursor.peek() in _NUMBERS:
            return Numbers(cursor.set())
        name = cursor.word()
        if name in _SIMPLE:
            return _SIMPLE[name]
        if cursor.at_end():
            raise BadCommand(b"unknown search key, or its argument is missing")
        cursor.space()
        if name == b"NOT":
            return Not(self._key(depth + 1))
        if name == b"OR":
            one = self._key(depth + 1)
            cursor.space()
            return Or(one, self._key(depth + 1))
        return self._with_argument(name)

    def _with_argument(self, name: bytes) -> Key:
        cursor = self._cursor
        if name in _ARGUMENTS:
            return _ARGUMENTS[name](cursor)
        if name in (b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO"):
            return self._in_text(HeaderKey(name.decode(), self._text()))
        if name == b"HEADER":
            field = cursor.astring().decode("latin-1").upper()
            cursor.space()
            return self._in_text(HeaderKey(field, self._text()))
        if name == b"BODY":
            return self._in_text(BodyKey(self._text()))
        if name == b"TEXT":
            return self._in_text(TextKey(self._text()))
        if name.startswith(b"SENT") and name[4:] in _WHEN:
            return self._in_text(SentKey(_WHEN[name[4:]], parse_date(cursor.astring())))
        raise BadCommand(b"unknown search key")

    def _in_text(self, search: TextSearch) -> Key:
        self._texts += 1
        if self._texts > TEXT_KEYS:
            raise LimitReached
        return InText(search)

    def _text(self) -> str:
        try:
            return self._cursor.astring().decode(self._charset)
        except UnicodeDecodeError as error:
            raise BadCommand(b"text is not in that charset") from error


_NUMBERS = frozenset((b"*", b"$", *(b"%d" % digit for digit in range(10))))
_WHEN = {when.value.encode(): when for when in When}


def _keyword(cursor: Cursor) -> Key:
    return HasFlag(cursor.flag().decode("ascii"))


# "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer
def _modseq(cursor: Cursor) -> Key:
    """Flags have no modseqs of their own here: whichever is named, the message's counts."""
    if cursor.peek() == b'"':
        if not cursor.string().lower().startswith(b"/flags/"):
            raise BadCommand(b"unknown entry")
        cursor.space()
        if cursor.word() not in (b"PRIV", b"SHARED", b"ALL"):
            raise BadCommand(b"unknown entry type")
        cursor.space()
    return Modseq(cursor.number(2**63 - 1))


def _thread_id(cursor: Cursor) -> Key:
    cursor.atom()
    return ThreadId()


_ARGUMENTS: dict[bytes, Callable[[Cursor], Key]] = {
    b"KEYWORD": _keyword,
    b"UNKEYWORD": lambda cursor: Not(_keyword(cursor)),
    b"UID": lambda cursor: Uids(cursor.set()),
    b"MODSEQ": _modseq,
    b"OLDER": lambda cursor: Within(cursor.nz_number(), older=True),
    b"YOUNGER": lambda cursor: Within(cursor.nz_number(), older=False),
    b"EMAILID": lambda cursor: EmailId(cursor.atom().decode("ascii")),
    b"THREADID": _thread_id,
    b"LARGER": lambda cursor: Larger(cursor.number(2**63 - 1)),
    b"SMALLER": lambda cursor: Smaller(cursor.number(2**63 - 1)),
    b"SAVEDBEFORE": lambda cursor: Saved(When.BEFORE, parse_date(cursor.astring())),
    b"SAVEDON": lambda cursor: Saved(When.ON, parse_date(cursor.astring())),
    b"SAVEDSINCE": lambda cursor: Saved(When.SINCE, parse_date(cursor.astring())),
    b"BEFORE": lambda cursor: Arrived(When.BEFORE, parse_date(cursor.astring())),
    b"ON": lambda cursor: Arrived(When.ON, parse_date(cursor.astring())),
    b"SINCE": lambda cursor: Arrived(When.SINCE, parse_date(cursor.astring())),
}
