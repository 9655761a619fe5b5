"""The child process of `parsing`: opened mail in, what lists and search need of it out.

It never sees a key, and neither does anything that it imports. Whatever happens to it is a failure
of one mail for its parent.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence

from e2email_client import autocrypt, digest
from e2email_client.confined import confine
from e2email_client.parsing_frames import REQUEST, Kind
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.opened import CopyOfStored, refuse_copy
from e2email_protocol.sealed.view import join_view, view_parts


def main() -> None:
    """Serve until standard input ends."""
    requests, answers = confine()
    with answers:
        while header := requests.read(REQUEST.size):
            kind, seconds, first, second = REQUEST.unpack(header)
            given = requests.read(first), requests.read(second)
            # ends this process even if the parent is gone or stopped
            signal.alarm(seconds)
            answers.write(digest.pack(_answer(Kind(kind), *given)))
            answers.flush()
            signal.alarm(0)


def _answer(kind: Kind, octets: bytes, entity: bytes) -> Sequence[bytes]:
    if kind is Kind.HEADING:
        return digest.heading_segments(digest.heading(octets))
    if kind is Kind.DIGEST:
        return digest.digest_segments(digest.digest(Mail(octets)))
    if kind is Kind.AUTOCRYPT:
        return _autocrypt(octets)
    return _view(Mail(octets), entity)


def _autocrypt(header: bytes) -> Sequence[bytes]:
    found = autocrypt.offered(header)
    if found is None:
        return [b"null"]
    return [json.dumps([found.address, found.date]).encode(), found.certificate]


def _view(outer: Mail, entity: bytes) -> Sequence[bytes]:
    """Of what a sender encrypted, or only who sent back what is stored here."""
    try:
        refuse_copy(outer, entity)
    except CopyOfStored as copy:
        return [json.dumps(copy.sender).encode()]
    front, start = view_parts(outer, entity)
    found = digest.digest(Mail(join_view(front, start, entity)))
    return [json.dumps(start).encode(), front, *digest.digest_segments(found)]
