"""The word index (FTS5, inside the encrypted database): for our own client's search.

IMAP SEARCH is exact and does not use it. It costs more to make than all else that is written of a
mail, so mail is opened without it and indexed later; who searches indexes first what is left.
Chinese, Japanese and Korean runs, which have no spaces,
are indexed as overlapping pairs of characters; a query is split the same way.
"""

from __future__ import annotations

import re
from typing import Any

from .cipher import Database
from .fold import fold

# Hiragana to CJK ideographs, compatibility ideographs, Hangul, and the ideograph planes.
_CJK = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff]+"
)
# FTS5 nests its expression tree; beyond 256 terms it refuses the query.
MAX_TERMS = 100
_WORD = re.compile(r"\w+")
# Mails indexed in one transaction: the write lock is held for some 30 ms.
AT_ONCE = 100


def spread(text: str) -> str:
    """CJK runs as pairs: 日本語 → 日本 本語."""

    def pairs(match: re.Match[str]) -> str:
        run = match.group()
        if len(run) == 1:
            return f" {run} "
        return " " + " ".join(run[i : i + 2] for i in range(len(run) - 1)) + " "

    return _CJK.sub(pairs, text)


def put_off(writer: Any, mail_id: int) -> None:
    """Inside a transaction: the words of this mail are to be indexed, once or again."""
    writer.execute("INSERT OR IGNORE INTO unindexed (mail_id) VALUES (?)", (mail_id,))


def index(database: Database, most: int = AT_ONCE) -> int:
    """Index some of the mails that are not indexed; how many that was, 0 when none is left."""
    with database.write() as writer:
        found = writer.execute(
            "SELECT u.mail_id, s.subject, s.sender, s.recipients, t.folded FROM unindexed u"
            " LEFT JOIN summary s ON s.mail_id = u.mail_id"
            " LEFT JOIN text t ON t.mail_id = u.mail_id LIMIT ?",
            (most,),
        ).fetchall()
        ids = [(mail_id,) for mail_id, *_ in found]
        writer.executemany("DELETE FROM words WHERE rowid = ?", ids)
        writer.executemany(
            "INSERT INTO words (rowid, subject, sender, recipients, text) VALUES (?, ?, ?, ?, ?)",
            [
                # the text is folded as it is kept
                (mail_id, *(spread(fold(one or "")) for one in people), spread(text or ""))
                for mail_id, *people, text in found
            ],
        )
        writer.executemany("DELETE FROM unindexed WHERE mail_id = ?", ids)
    return len(found)


def index_all(database: Database) -> None:
    """Until none is left. Others write in between."""
    while index(database):
        pass


def unindexed(database: Database) -> int:
    """How many opened mails are not in the index."""
    return int(database.read("SELECT count(*) FROM unindexed")[0][0])


def terms(query: str) -> list[str]:
    return _WORD.findall(spread(fold(query)))


def match(query: str) -> str | None:
    """An FTS5 expression for mail that has every word of the query, None where it has no word.

    The last word matches as a beginning, so a search can run while it is typed.
    """
    # every term is quoted: nothing of the query is FTS5 syntax
    found = [f'"{term}"' for term in terms(query)[:MAX_TERMS]]
    return " ".join(found) + "*" if found else None
