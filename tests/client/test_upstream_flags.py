"""What the server says of flags: never what only this client may say of a mail's protection."""

import pytest

from e2email_client.upstream.remote import _said, _skeleton
from e2email_client.upstream.wire import Result
from e2email_protocol.imap.response import ResponseReader
from e2email_protocol.imap.response_types import Fetch

FORGED = [b"$e2email-signature-valid", b"$E2EMAIL-Encrypted-By-Sender", b"$e2email-new-word"]


def fetched(flags: bytes) -> Fetch:
    reader = ResponseReader()
    email_id = b"E" + b"0" * 32
    reader.feed(b"* 1 FETCH (UID 7 FLAGS (%b) EMAILID (%b))\r\n" % (flags, email_id))
    (reply,) = reader
    assert isinstance(reply, Fetch)
    return reply


@pytest.mark.parametrize("forged", FORGED)
def test_reserved_keywords_of_the_server_are_dropped(forged: bytes) -> None:
    reply = fetched(rb"\Seen \Recent $Forwarded " + forged)
    kept = frozenset({"\\Seen", "$Forwarded"})
    assert _said(Result(None, [reply])) == [(7, kept, 0)]
    assert _skeleton(reply).flags == kept
