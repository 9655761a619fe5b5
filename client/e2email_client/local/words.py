"""The word index (FTS5, inside the encrypted database): for our own client's search.

IMAP SEARCH is exact and does not use it. Chinese, Japanese and Korean runs, which have no spaces,
are indexed as overlapping pairs of characters; a query is split the same way.
"""

from __future__ import annotations

import re
from typing import Any

from .cipher import Database

# Hiragana to CJK ideographs, compatibility ideographs, Hangul, and the ideograph planes.
_CJK = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff]+"
)
_WORD = re.compile(r"\w+")


def spread(text: str) -> str:
    """CJK runs as pairs: 日本語 → 日本 本語."""

    def pairs(match: re.Match[str]) -> str:
        run = match.group()
        if len(run) == 1:
            return f" {run} "
        return " " + " ".join(run[i : i + 2] for i in range(len(run) - 1)) + " "

    return _CJK.sub(pairs, text)


def put(writer: Any, mail_id: int, subject: str, sender: str, recipients: str, text: str) -> None:
    writer.execute("DELETE FROM words WHERE rowid = ?", (mail_id,))
    writer.execute(
        "INSERT INTO words (rowid, subject, sender, recipients, text) VALUES (?, ?, ?, ?, ?)",
        (mail_id, spread(subject), spread(sender), spread(recipients), spread(text)),
    )


def find(database: Database, query: str, limit: int) -> list[tuple[str, int, str]]:
    """(mailbox, uid, email id) of mail that has every word of the query, newest first.

    The last word matches as a beginning, so a search can run while it is typed.
    """
    terms = _WORD.findall(spread(query))
    if not terms:
        return []
    # every term is quoted: nothing of the query is FTS5 syntax
    match = " ".join(f'"{term}"' for term in terms) + "*"
    return [
        (name, uid, email_id)
        for name, uid, email_id in database.read(
            "SELECT b.name, m.uid, a.email_id FROM words w JOIN mail a ON a.id = w.rowid"
            " JOIN message m ON m.mail_id = a.id JOIN mailbox b ON b.id = m.mailbox_id"
            " WHERE words MATCH ? ORDER BY m.internal_date DESC, m.uid DESC LIMIT ?",
            (match, limit),
        )
    ]
