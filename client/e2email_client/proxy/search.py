"""IMAP SEARCH over opened mail: exact substrings of decoded text, in any charset, by a scan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from e2email_client.local import mails, reads
from e2email_client.local.cipher import Database
from e2email_client.local.fold import fold
from e2email_client.local.mails import State
from e2email_client.local.published import answers
from e2email_client.local.reads import Octets, Where
from e2email_protocol.imap.search_run import is_when
from e2email_protocol.imap.session import BodyKey, HeaderKey, SentKey, TextKey, TextSearch
from e2email_protocol.mime.date import parse_date
from e2email_protocol.mime.header import fields
from e2email_protocol.mime.words import decode_words

Test = Callable[[bytes], bool]


def matching(
    database: Database, mailbox_id: int, uids: Sequence[int], key: TextSearch
) -> tuple[set[int], list[int]]:
    """Those of `uids` that match, and those of which it cannot be said without their octets."""
    closed = [uid for uid, _ in mails.lacking(database, mailbox_id, uids, State.OPENED)]
    found: set[int]
    match key:
        case BodyKey():
            found = reads.containing(database, mailbox_id, fold(key.text), Where.BODY)
        case TextKey():
            found = set()
            for where in Where:
                found |= reads.containing(database, mailbox_id, fold(key.text), where)
        case HeaderKey():
            # a field has it only if the header has it
            candidates = reads.containing(database, mailbox_id, fold(key.text), Where.HEADER)
            test = _header_test(key)
            found = _tested(database, mailbox_id, candidates.intersection(uids), test)
            more, closed = _summarised(database, mailbox_id, closed, key.name.encode(), test)
            found |= more
        case SentKey():
            test = _sent_test(key)
            found = _tested(database, mailbox_id, uids, test)
            more, closed = _summarised(database, mailbox_id, closed, b"Date", test)
            found |= more
    return found, closed


def _summarised(
    database: Database, mailbox_id: int, uids: Sequence[int], name: bytes, test: Test
) -> tuple[set[int], list[int]]:
    """Of mails whose octets are not here: those that match, and those to be opened first."""
    found, closed = set(), []
    for known in reads.known(database, mailbox_id, uids, Octets.HEADER, summary=False):
        header = known.octets
        if header is None and known.state >= State.READY and answers(known.names, (name,)):
            header = known.fields
        if header is None:
            closed.append(known.uid)
        elif test(header):
            found.add(known.uid)
    return found, closed


def _tested(database: Database, mailbox_id: int, uids: Collection[int], test: Test) -> set[int]:
    found = reads.headers(database, mailbox_id, sorted(uids))
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
