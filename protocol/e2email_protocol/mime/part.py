"""One MIME entity: three offsets into a message's octets and what its Content-* fields say."""

from collections.abc import Mapping
from dataclasses import dataclass

from .lex import Lexer, Malformed
from .params import Params, token_and_parameters


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """One MIME entity: header at [start, body), body at [body, end) of the message's octets.

    `type`, `subtype`, `params` are as written, with the defaults of RFC 2045 filled in; `media` is
    the lower-case "type/subtype". `content` has the raw values of the first field of each
    Content-* name, by the lower-case rest of the name. `lines` counts LF in the body. A
    message/rfc822 part has exactly one child unless it is opaque.
    """

    start: int
    body: int
    end: int
    lines: int
    type: bytes
    subtype: bytes | None
    media: str
    params: Params
    content: Mapping[str, bytes]
    children: tuple["Part", ...] = ()
    opaque: bool = False

    def __repr__(self) -> str:
        return f"Part({self.start}:{self.body}:{self.end}, {len(self.children)} children)"

    @property
    def size(self) -> int:
        """Octets of the body."""
        return self.end - self.body

    @property
    def is_multipart(self) -> bool:
        return self.media.startswith("multipart/") and not self.opaque

    @property
    def is_message(self) -> bool:
        return self.media == "message/rfc822" and not self.opaque

    @property
    def encoding(self) -> bytes | None:
        """The Content-Transfer-Encoding token as written, None where absent or unreadable."""
        value = self.content.get("transfer-encoding")
        return None if value is None else _whole_token(value)

    @property
    def disposition(self) -> tuple[bytes, Params] | None:
        """(token, parameters) of Content-Disposition, or None."""
        value = self.content.get("disposition")
        return None if value is None else token_and_parameters(value)


def _whole_token(value: bytes) -> bytes | None:
    lexer = Lexer(value)
    try:
        lexer.skip()
        token = lexer.token()
    except Malformed:
        return None
    return token if token and not lexer.peek() else None
