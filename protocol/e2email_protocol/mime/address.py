"""Addresses of From, To and their like (RFC 5322 section 3.4): groups, routes, comments, ruins.

What cannot be read becomes an address with the placeholders that Dovecot uses, so that ENVELOPE
still shows that something stood there. The list ends at the first address after which there is
no comma.
"""

from contextlib import suppress
from dataclasses import dataclass

from .lex import Lexer, Malformed
from .words import decode_words

# A header of 256 KiB holds some 8,000 ordinary addresses; more are left out.
MAX_ADDRESSES = 10_000

MISSING_MAILBOX = b"MISSING_MAILBOX"
MISSING_DOMAIN = b"MISSING_DOMAIN"
SYNTAX_ERROR = b"SYNTAX_ERROR"
INVALID_ROUTE = b"INVALID_ROUTE"


@dataclass(slots=True, repr=False)
class _Draft:
    name: bytes | None = None
    adl: bytes | None = None
    mailbox: bytes | None = None
    host: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """One address as ENVELOPE lists it (RFC 9051 section 7.5.2), in raw octets.

    A group begins with an entry whose host is None and ends with one whose mailbox is None too.
    """

    name: bytes | None
    adl: bytes | None
    mailbox: bytes | None
    host: bytes | None

    def __repr__(self) -> str:
        return "Address(...)"

    @property
    def spec(self) -> str:
        """local@domain for people; "" for the marks of a group."""
        if self.mailbox is None or self.host is None:
            return ""
        return f"{decode_words(self.mailbox)}@{decode_words(self.host)}"

    @property
    def text(self) -> str:
        """`Name <local@domain>` for people, encoded words decoded; a group's name for its mark."""
        if self.host is None:
            return decode_words(self.mailbox or b"")
        return f"{decode_words(self.name)} <{self.spec}>" if self.name else self.spec


def addresses(value: bytes, limit: int = MAX_ADDRESSES) -> tuple[Address, ...]:
    """The addresses of a field value, folds and all; at most `limit` entries."""
    lexer = Lexer(value)
    found: list[Address] = []
    try:
        lexer.skip()
    except Malformed:
        return ()
    while lexer.peek() and len(found) < limit:
        start, name = lexer.pos, _phrase(lexer)
        if name is not None and lexer.peek() == b":":
            _group(lexer, found, name, limit)
        else:
            _mailbox(lexer, found, start, name)
        if lexer.peek() != b",":
            break
        lexer.pos += 1
        try:
            lexer.skip()
        except Malformed:
            _add(found, _Draft())
            break
    return tuple(found[:limit])


def _phrase(lexer: Lexer) -> bytes | None:
    """The words here, b"" where there are none, None where they cannot be read."""
    if lexer.peek() == b".":
        return None
    try:
        return lexer.phrase()
    except Malformed:
        return None


def _group(lexer: Lexer, found: list[Address], name: bytes, limit: int) -> None:
    """From the colon on. An unfinished group ends where it cannot be read."""
    found.append(Address(None, None, name, None))
    with suppress(Malformed):
        lexer.expect(b":")
        while lexer.peek() not in (b"", b";") and len(found) < limit:
            start = lexer.pos
            _mailbox(lexer, found, start, _phrase(lexer))
            if lexer.peek() != b",":
                break
            lexer.expect(b",")
        lexer.expect(b";")
    found.append(Address(None, None, None, None))


def _add(found: list[Address], draft: _Draft) -> None:
    mailbox = MISSING_MAILBOX if draft.mailbox is None else draft.mailbox
    host = MISSING_DOMAIN if draft.host is None else draft.host
    found.append(Address(draft.name, draft.adl, mailbox, host))


def _mailbox(lexer: Lexer, found: list[Address], start: int, name: bytes | None) -> None:
    """The mailbox that begins at `start`; the phrase there has been read already."""
    draft = _Draft()
    if name is not None and lexer.peek() == b"<":
        draft.name = name or None
        try:
            _angle(lexer, draft)
        except Malformed:
            draft.host = SYNTAX_ERROR
    else:
        lexer.pos = start
        _address_spec(lexer, draft)
    _add(found, draft)


def _angle(lexer: Lexer, draft: _Draft) -> None:
    lexer.expect(b"<")
    if lexer.peek() == b">":
        lexer.expect(b">")
        return
    if lexer.peek() == b"@":
        draft.adl = _route(lexer)
    draft.mailbox = _local_part(lexer)
    if lexer.peek() == b"@":
        draft.host = lexer.domain()
    if lexer.peek() or draft.host is None:  # the bracket alone may be missing at the end
        lexer.expect(b">")


def _route(lexer: Lexer) -> bytes:
    route = []
    try:
        while lexer.peek() == b"@":
            route.append(b"@" + lexer.domain())
            while lexer.peek() == b",":
                lexer.expect(b",")
        lexer.expect(b":")
    except Malformed:
        return INVALID_ROUTE
    return b",".join(route)


def _local_part(lexer: Lexer) -> bytes:
    return lexer.quoted() if lexer.peek() == b'"' else lexer.dot_atom(leading_dot=True)


def _address_spec(lexer: Lexer, draft: _Draft) -> None:
    """What cannot be read of it stays missing. Words without an address are a name."""
    start, lexer.comment = lexer.pos, b""
    quoted = lexer.peek() == b'"'
    with suppress(Malformed):
        draft.mailbox = _local_part(lexer)
        if lexer.at_word() or (quoted and lexer.peek() != b"@"):
            lexer.pos = start
            draft.name = lexer.phrase()
            draft.mailbox = None
            return
    with suppress(Malformed):
        if lexer.peek() == b"@":
            draft.host = lexer.domain()
    draft.name = lexer.comment or None
