"""IMAP SEARCH over opened mail: exact substrings of decoded text, in any charset, by a scan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from e2email_client.local.cipher import Database
from e2email_client.local.mails import texts
from e2email_protocol.imap.search_run import is_when
from e2email_protocol.imap.session import BodyKey, HeaderKey, SentKey, TextKey, TextSearch
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.header import fields
from e2email_protocol.mime.words import decode_words

# Octets of text looked at together; a thread does it, and other connections get their turn.
PAGE = 500

Test = Callable[[bytes, str], bool]


def matching(database: Database, mailbox_id: int, uids: list[int], key: TextSearch) -> list[int]:
    """Those of `uids` that match. All of them must be opened."""
    test = _test(key)
    found = []
    for start in range(0, len(uids), PAGE):
        for uid, header, text in texts(database, mailbox_id, uids[start : start + PAGE]):
            if test(header, text):
                found.append(uid)
    return found


def _test(key: TextSearch) -> Test:
    match key:
        case BodyKey():
            needle = key.text.casefold()
            return lambda _, text: needle in text.casefold()
        case TextKey():
            needle = key.text.casefold()
            return lambda header, text: needle in text.casefold() or needle in _decoded(header)
        case HeaderKey():
            return _header_test(key)
        case SentKey():
            return _sent_test(key)


def _header_test(key: HeaderKey) -> Test:
    name, needle = key.name.lower().encode("utf-8"), key.text.casefold()
    return lambda header, _: any(
        needle in decode_words(one.value).casefold()
        for one in fields(header)
        if one.name.lower() == name
    )


def _sent_test(key: SentKey) -> Test:
    def test(header: bytes, _: str) -> bool:
        for one in fields(header):
            if one.name.lower() == b"date":
                date = parse_date(one.value)
                if date is None:
                    return False
                # the day as the sender wrote it: time and zone are disregarded (RFC 9051, 6.4.4)
                local = datetime.fromtimestamp(date[0], UTC) + timedelta(minutes=date[1])
                return is_when(local.date(), key.when, key.day)
        return False

    return test


def _decoded(header: bytes) -> str:
    return "\n".join(
        f"{decode_words(one.name)}: {decode_words(one.value)}" for one in fields(header)
    ).casefold()
