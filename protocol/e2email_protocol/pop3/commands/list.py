"""LIST (RFC 1939 §5): the exact sizes of what RETR sends, before dots are doubled."""

from __future__ import annotations

from ..context import Context, Replies
from ._listing import listing


# "LIST" [SP msg]
def run(context: Context, argument: bytes) -> Replies:
    head = b"%d messages, %d octets" % context.drop.totals()
    return listing(context.drop, argument, head, lambda message: b"%d" % message.size)
