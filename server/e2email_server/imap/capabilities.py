"""What the sealed face has beyond the engine's own, and which of all of it a listener may hide."""

from collections.abc import Iterable

from e2email_protocol.imap.context import AUTHENTICATED, REV2

OFFERED = frozenset(
    {
        b"BINARY",
        b"CONDSTORE",
        b"CREATE-SPECIAL-USE",
        b"MULTIAPPEND",
        b"OBJECTID",
        b"QRESYNC",
        b"REPLACE",
        b"SAVEDATE",
        b"STATUS=SIZE",
        b"UTF8=ACCEPT",
    }
)
"""Beside APPENDLIMIT=n. No SORT, THREAD and PREVIEW: what they look at is sealed."""

_ENGINE = frozenset({b"LITERAL+", b"SASL-IR", b"ID", b"ENABLE", b"WITHIN", REV2, *AUTHENTICATED})
HIDEABLE = tuple(sorted(name.decode() for name in _ENGINE | OFFERED | {b"APPENDLIMIT"}))
_NEEDS = {"CONDSTORE": ("QRESYNC",), "ENABLE": ("QRESYNC", "UTF8=ACCEPT")}


def append_limit(octets: int) -> bytes:
    return b"APPENDLIMIT=%d" % octets


def hidden(names: Iterable[str], limit: int) -> frozenset[bytes]:
    """As the engine names them, with what cannot be used without them."""
    found = {name for one in names for name in (one, *_NEEDS.get(one, ()))}
    return frozenset(
        append_limit(limit) if name == "APPENDLIMIT" else name.encode() for name in found
    )
