"""The opened view of a mail that is, as a whole, one sender's encryption to us.

One rule for every program that shows it, so that two devices give the same octets:
docs/specs/sealed-message.md, "The opened view".
"""

from e2email_protocol.mime.params import parameter
from e2email_protocol.sealed.mail import Mail, Named

_TRACE = frozenset({b"return-path", b"received"})
# Of the encryption's own layer, or ours, or about it; never part of what the sender wrote.
_LAYER = (b"content-", b"mime-version", b"hp-outer", b"e2email-")


def opened_view(mail: Mail, entity: bytes) -> bytes:
    """The decrypted entity under its own header, with what the outer header adds in front."""
    front, start = view_parts(mail, entity)
    return join_view(front, start, entity)


def join_view(front: bytes, start: int, entity: bytes) -> bytes:
    """The view of what view_parts() found."""
    return b"".join((front, memoryview(_with_crlf(entity))[start:]))


def view_parts(mail: Mail, entity: bytes) -> tuple[bytes, int]:
    """(header of the view and its empty line, where the view goes on in the entity). Of `mail`
    only the header is looked at.

    With `hp` (RFC 9788) the entity's header is complete and only trace fields come from outside;
    unprotected fields are never put beside it. Without, outer fields fill in what is missing
    inside, by name.
    """
    inner = Mail(_with_crlf(entity))
    has_header = inner.whole_header and not (inner.fields and not inner.fields[0].name)
    within = [f for f in inner.fields if has_header and not _is_foreign(f.name)]
    names = {f.name for f in within}
    outside = [f for f in mail.fields if _comes_along(f, names, complete=_is_complete(inner))]
    front = b"".join(
        (
            *(mail.raw(f.field) for f in outside),
            *(inner.raw(f.field) for f in within),
            b"" if b"mime-version" in names else b"MIME-Version: 1.0\r\n",
            b"\r\n",
        )
    )
    return front, inner.root.body if has_header else 0


def _with_crlf(entity: bytes) -> bytes:
    """One that was encrypted from a Unix text, against RFC 3156 §3, gets its line ends."""
    return entity if b"\r" in entity else entity.replace(b"\n", b"\r\n")


def _is_foreign(name: bytes) -> bool:
    """Trace fields inside an encryption are nobody's trace; HP-Outer speaks of the other layer."""
    return name in _TRACE or name == b"hp-outer" or name.startswith(b"e2email-")


def _is_complete(inner: Mail) -> bool:
    return (parameter(inner.root.params, b"hp") or b"").lower() in (b"cipher", b"clear")


def _comes_along(field: Named, inside: set[bytes], *, complete: bool) -> bool:
    if field.name in _TRACE:
        return True
    return not complete and field.name not in inside and not field.name.startswith(_LAYER)
