"""UIDL (RFC 1939 §7): `uidvalidity.uid`, the same in every session for ever."""

from __future__ import annotations

from ..context import Context, Replies
from ._listing import listing


# "UIDL" [SP msg]
def run(context: Context, argument: bytes) -> Replies:
    validity = context.drop.maildrop.uidvalidity
    return listing(
        context.drop, argument, b"and so they stay", lambda one: b"%d.%d" % (validity, one.uid)
    )
