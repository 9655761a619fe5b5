"""What programs were told of a mailbox, and since when: by UID, and by MODSEQ.

MODSEQ is our own: max(last + 1, now in microseconds), so it rises even after the cache was deleted
and a mail program that remembers an old value never misses a change.

What lies in a mailbox when it is listed for the first time is shown at once. Whatever comes later
is announced in the order of its UIDs once its summary is final, so that nothing a mail program was
told of a message ever changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

ANNOUNCED = "(SELECT announced FROM mailbox WHERE id = ?1)"


def touch(writer: Any, known: Iterable[tuple[int, bool]]) -> None:
    """Inside a transaction: of these records (id, its keywords are others) more is known, wherever
    they lie. Nothing else changes for programs, so that a MODSEQ which they hold stays good.
    """
    modseqs: dict[int, int] = {}
    seen: set[int] = set()
    for mail_id, changed in known:
        places = writer.execute(
            "SELECT mailbox_id, uid FROM message WHERE mail_id = ?", (mail_id,)
        ).fetchall()
        for mailbox_id, uid in places:
            seen.add(mailbox_id)
            if not changed:
                continue
            if mailbox_id not in modseqs:
                modseqs[mailbox_id] = next_modseq(writer, mailbox_id)
            writer.execute(
                "UPDATE message SET modseq = ? WHERE mailbox_id = ? AND uid = ?",
                (modseqs[mailbox_id], mailbox_id, uid),
            )
    for mailbox_id in seen:
        announce(writer, mailbox_id)


def announce(writer: Any, mailbox_id: int) -> bool:
    """Show what comes before the first message that is still being opened; whether it is more.

    A message whose opening failed for a passing reason is shown, too: a mail that kills the worker
    must not hold back all that come after it. What is asked of it is answered NO until it opens.
    One whose key is on another machine yet is not: what comes after it is sealed to that key, too.
    """
    complete, shown, uidnext = writer.execute(
        "SELECT complete, announced, uidnext FROM mailbox WHERE id = ?", (mailbox_id,)
    ).fetchone()
    if not complete:
        return False
    (first,) = writer.execute(
        "SELECT min(m.uid) FROM message m JOIN mail a ON a.id = m.mail_id"
        " WHERE m.mailbox_id = ? AND m.uid >= ? AND a.state < 2 AND (a.tries = 0 OR a.held = 1)",
        (mailbox_id, shown),
    ).fetchone()
    below = uidnext if first is None else first
    if below > shown:
        # newer than anything that was said before: whoever asks for changes finds them
        modseq = next_modseq(writer, mailbox_id)
        writer.execute(
            "UPDATE message SET modseq = ? WHERE mailbox_id = ? AND uid >= ? AND uid < ?",
            (modseq, mailbox_id, shown, below),
        )
        writer.execute("UPDATE mailbox SET announced = ? WHERE id = ?", (below, mailbox_id))
    return bool(below > shown)


def higher_modseq(writer: Any, mailbox_id: int) -> int:
    """0: the mailbox is gone, and with it all messages."""
    row = writer.execute("SELECT modseq FROM mailbox WHERE id = ?", (mailbox_id,)).fetchone()
    return max(row[0] + 1, now()) if row else 0


def next_modseq(writer: Any, mailbox_id: int) -> int:
    modseq = higher_modseq(writer, mailbox_id)
    if not modseq:
        raise LookupError("a mailbox that is gone")
    writer.execute("UPDATE mailbox SET modseq = ? WHERE id = ?", (modseq, mailbox_id))
    return modseq


def now() -> int:
    return time.time_ns() // 1000
