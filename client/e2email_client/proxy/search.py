"""IMAP SEARCH over opened mail: exact substrings of decoded text, in any charset, by a scan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from e2email_client.local import mails
from e2email_client.local.cipher import Database
from e2email_client.local.fold import fold
from e2email_client.local.mails import Where
from e2email_protocol.imap.search_run import is_when
from e2email_protocol.imap.session import BodyKey, HeaderKey, SentKey, TextKey, TextSearch
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.header import fields
from e2email_protocol.mime.words import decode_words

Test = Callable[[bytes], bool]


def matching(
    database: Database, mailbox_id: int, uids: Sequence[int], key: TextSearch
) -> Collection[int]:
    """Those of `uids` that match. All of them must be opened."""
    match key:
        case BodyKey():
            return mails.containing(database, mailbox_id, fold(key.text), Where.BODY)
        case TextKey():
            found = [
                mails.containing(database, mailbox_id, fold(key.text), where) for where in Where
            ]
            return found[0] | found[1]
        case HeaderKey():
            # a field has it only if the header has it
            candidates = mails.containing(database, mailbox_id, fold(key.text), Where.HEADER)
            return _tested(database, mailbox_id, candidates.intersection(uids), _header_test(key))
        case SentKey():
            return _tested(database, mailbox_id, uids, _sent_test(key))


def _tested(
    database: Database, mailbox_id: int, uids: Collection[int], test: Test
) -> Collection[int]:
    found = mails.headers(database, mailbox_id, sorted(uids))
    return {uid for uid, header in found if test(header)}


def _header_test(key: HeaderKey) -> Test:
    name, needle = key.name.lower().encode("utf-8"), fold(key.text)
    return lambda header: any(
        needle in fold(decode_words(one.value))
        for one in fields(header)
        if one.name.lower() == name
    )


def _sent_test(key: SentKey) -> Test:
    def test(header: bytes) -> bool:
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
