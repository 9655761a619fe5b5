"""Tokens of structured header fields (RFC 5322 section 3.2, RFC 2045 section 5.1), read leniently.

Every method moves forward only, so a field is read in linear time whatever it holds. 8-bit octets
count as atom text: raw UTF-8 and Latin-1 in headers are common and RFC 6532 allows the first.
"""

import re

_SPACE = re.compile(rb"[ \t\r\n]*")
_ATEXT = rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff]"
_ATOM = re.compile(_ATEXT + rb"+")
_DOT_ATOM = re.compile(_ATEXT + rb"+(?:\." + _ATEXT + rb"+)*")
_ATOM_OR_DOT = re.compile(_ATEXT[:-1] + rb".]*")
_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+\-^_`{|}~\x80-\xff.]*")
_COMMENT_MARK = re.compile(rb"[()]|\\.", re.DOTALL)
_QUOTED_REST = re.compile(rb'((?:[^"\\]|\\.)*)"', re.DOTALL)
_LITERAL = re.compile(rb"\[(?:[^\]\\]|\\.)*\]", re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"\r?\n")


class Malformed(ValueError):
    """The text is not the token that was asked for."""


def unquote(inner: bytes) -> bytes:
    """The text of a quoted string or comment: folds removed, quoted pairs resolved."""
    if b"\n" in inner:
        inner = _FOLD.sub(b"", inner)
    return _QUOTED_PAIR.sub(rb"\1", inner) if b"\\" in inner else inner


class Lexer:
    """A cursor over one field value. `comment` is the text of the last comment passed over."""

    __slots__ = ("_parenthesis", "comment", "data", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.comment = b""
        self._parenthesis = b"(" in data

    def peek(self) -> bytes:
        """The next octet, b"" at the end."""
        return self.data[self.pos : self.pos + 1]

    def skip(self) -> None:
        """Pass white space and comments. Raises Malformed, at the end, for an unclosed comment."""
        match = _SPACE.match(self.data, self.pos)
        self.pos = match.end() if match else self.pos
        while self._parenthesis and self.peek() == b"(":
            self._skip_comment()
            match = _SPACE.match(self.data, self.pos)
            self.pos = match.end() if match else self.pos

    def _skip_comment(self) -> None:
        start, depth = self.pos + 1, 0
        for mark in _COMMENT_MARK.finditer(self.data, self.pos):
            if mark[0] == b"(":
                depth += 1
            elif mark[0] == b")":
                depth -= 1
                if depth == 0:
                    self.comment = unquote(self.data[start : mark.start()])
                    self.pos = mark.end()
                    return
        self.pos = len(self.data)
        raise Malformed

    def expect(self, octet: bytes) -> None:
        """Pass this octet and what may be skipped after it, or raise Malformed."""
        if self.peek() != octet:
            raise Malformed
        self.pos += 1
        self.skip()

    def _match(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self.data, self.pos)
        if match is None:
            raise Malformed
        self.pos = match.end()
        return match[0]

    def atom(self) -> bytes:
        """One atom, and skip."""
        text = self._match(_ATOM)
        self.skip()
        return text

    def token(self) -> bytes:
        """A MIME token, perhaps empty, and skip."""
        text = self._match(_TOKEN)
        self.skip()
        return text

    def raw_token(self) -> bytes:
        """A MIME token, perhaps empty, without passing what follows."""
        return self._match(_TOKEN)

    def quoted(self) -> bytes:
        """A quoted string without its quotes, and skip. Unclosed: Malformed, at the end."""
        match = _QUOTED_REST.match(self.data, self.pos + 1)
        if match is None:
            self.pos = len(self.data)
            raise Malformed
        self.pos = match.end()
        self.skip()
        return unquote(match[1])

    def at_word(self) -> bool:
        """Whether an atom or quoted string begins here."""
        return self.peek() == b'"' or _ATOM.match(self.data, self.pos) is not None

    def dot_atom(self, *, leading_dot: bool = False) -> bytes:
        """Atoms joined by dots, white space and comments around the dots dropped, and skip.
        Dots side by side and at the end are let pass, at the beginning where asked for."""
        parts = [b""]
        if not (leading_dot and self.peek() == b"."):
            parts = [self._match(_DOT_ATOM)]
            self.skip()
        while self.peek() == b".":
            self.pos += 1
            self.skip()
            parts.append(b".")
            match = _ATOM.match(self.data, self.pos)
            if match is not None:
                self.pos = match.end()
                parts.append(match[0])
                self.skip()
        return b"".join(parts)

    def phrase(self) -> bytes:
        """Words (atoms, dots, quoted strings) joined by single spaces, perhaps none, and skip."""
        words = []
        while True:
            octet = self.peek()
            if octet == b'"':
                words.append(self.quoted())
            else:
                word = self._match(_ATOM_OR_DOT)
                if not word:
                    return b" ".join(words)
                words.append(word)
                self.skip()

    def domain(self) -> bytes:
        """`@` and a dot-atom or domain literal; the result is without the `@`."""
        self.expect(b"@")
        if self.peek() != b"[":
            return self.dot_atom()
        text = self._match(_LITERAL)
        self.skip()
        return text
