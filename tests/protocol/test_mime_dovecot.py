"""The corpus as a running Dovecot reads it. Every deviation is listed with its reason, and a
listed one that is gone fails too."""

import re

import pytest

from e2email_protocol.mime import scan
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.structure import structure
from support.corpus import messages
from support.dovecot import serving
from support.imap_text import Value, parsed

STRIPPED = "white space around a value does not count"
TYPE = "a Content-Type that cannot be read is text/plain, a missing subtype the default"
SEMICOLON = "a missing semicolon does not hide the boundary"
CUT = "the line end before a boundary belongs to the boundary, even after a cut header"
ORDER = "joined RFC 2231 parameters stay in the order of the header"
DEVIATIONS = {
    "cpython/msg_14.txt": TYPE,
    "cpython/msg_33.txt": ORDER,
    "james-mime4j/mimetools-testmsgs__multi-digest.msg": TYPE,
    "james-mime4j/testmsgs__basic-plain-with-bad-header-separator.msg": STRIPPED,
    "mikel-mail/error_emails__bad_date_header.eml": STRIPPED,
    "mikel-mail/error_emails__bad_subject.eml": STRIPPED,
    "stalwart-mail-parser/malformed__017.eml": SEMICOLON,
    "stalwart-mail-parser/malformed__022.eml": CUT,
    "stalwart-mail-parser/rfc__008.eml": CUT,
    "stalwart-mail-parser/thirdparty__015.eml": CUT,
}
_ITEMS = b"RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE"
# Dovecot sends some types and encodings in a case of its own; they have none
_CASELESS = re.compile(rb"(?i)message|rfc822|7bit")


def caseless(value: Value) -> Value:
    if isinstance(value, list):
        return [caseless(one) for one in value]
    if isinstance(value, bytes) and _CASELESS.fullmatch(value):
        return value.lower()
    return value


@pytest.mark.slow
def test_the_corpus_reads_as_in_dovecot() -> None:
    corpus = list(messages())
    deviating = set()
    compared = 0
    with serving([octets for _, octets in corpus]) as client:
        for number, theirs in client.fetch(_ITEMS):
            name, octets = corpus[number - 1]
            root = scan(octets)
            ours: dict[bytes, Value] = {
                b"RFC822.SIZE": len(octets),
                b"ENVELOPE": parsed(envelope(octets, root.start, root.body)),
                b"BODY": parsed(structure(octets, root, extended=False)),
                b"BODYSTRUCTURE": parsed(structure(octets, root)),
            }
            compared += 1
            if any(caseless(ours[item]) != caseless(theirs[item]) for item in ours):
                deviating.add(name)
    assert compared == len(corpus)
    assert deviating == set(DEVIATIONS)
