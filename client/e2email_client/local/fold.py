"""Text as exact search compares it: case means nothing, nor how an accent was composed.

Folded once, when a mail is opened; a needle is folded the same way, so that a search is a search
for octets. Changing this is a new version of the cache.
"""

from __future__ import annotations

import unicodedata

from e2email_protocol.mime.header import fields
from e2email_protocol.mime.words import decode_words


def fold(text: str) -> str:
    """Case folded (ß is ss), accents composed. No surrogates: SQLite would refuse them."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return unicodedata.normalize("NFC", folded).encode("utf-8", "replace").decode()


def decoded(header: bytes) -> str:
    """A block of header fields as a person reads it, a field a line."""
    return "\n".join(
        f"{decode_words(one.name)}: {decode_words(one.value)}" for one in fields(header)
    )
