"""The word index (FTS5, inside the encrypted database): for our own client's search.

IMAP SEARCH is exact and does not use it. Chinese, Japanese and Korean runs, which have no spaces,
are indexed as overlapping pairs of characters; a query is split the same way.
"""

from __future__ import annotations

import re
from typing import Any

# Hiragana to CJK ideographs, compatibility ideographs, Hangul, and the ideograph planes.
_CJK = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff]+"
)
# FTS5 nests its expression tree; beyond 256 terms it refuses the query.
MAX_TERMS = 100
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


def terms(query: str) -> list[str]:
    return _WORD.findall(spread(query))


def match(query: str) -> str | None:
    """An FTS5 expression for mail that has every word of the query, None where it has no word.

    The last word matches as a beginning, so a search can run while it is typed.
    """
    # every term is quoted: nothing of the query is FTS5 syntax
    found = [f'"{term}"' for term in terms(query)[:MAX_TERMS]]
    return " ".join(found) + "*" if found else None
