"""What the envelope says about a mail's content, and what is left out when it is too much."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from e2email_protocol.mime.structure import structure
from e2email_protocol.mime.text import attachments, preview
from e2email_protocol.sealed.envelope import (
    MAX_ENVELOPE,
    MAX_NAMES,
    SUMMARY_VERSION,
    Envelope,
    encode,
    json_size,
    names_size,
)
from e2email_protocol.sealed.mail import Mail

# The fields that lists of mail are made of, and the order in which they (and BODYSTRUCTURE, preview
# and the names of all other fields) are given room: the first are what every list shows. Closed,
# so that a sender cannot fill the envelope with names of fields that were left out.
KEPT_FIRST = (
    "from", "date", "subject", "message-id", "to", "sender", "reply-to", "in-reply-to", "cc", "bcc",
    "structure", "preview",
    "content-type", "content-transfer-encoding", "mime-version", "content-disposition",
    "list-id", "list-post", "list-unsubscribe", "list-unsubscribe-post",
    "priority", "x-priority", "names", "references",
    "list-help", "list-subscribe", "list-owner", "list-archive",
    "content-id", "content-description", "content-language", "content-location", "content-md5",
)  # fmt: skip
NAMES = "names"
PUBLISHED = frozenset(n.encode() for n in KEPT_FIRST) - {b"structure", b"preview", b"names"}


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """Of the octets of one mail; `fields` are (lower-case name, raw field) in order.

    `names` are those of the other fields, however many; None: not to be told.
    """

    fields: tuple[tuple[bytes, bytes], ...]
    structure: bytes
    preview: str
    attachments: int
    size: int
    header_size: int
    names: tuple[bytes, ...] | None

    def __repr__(self) -> str:
        """Sizes only."""
        return f"<Summary {self.size} octets, {self.attachments} attachments>"


def summarise(mail: Mail) -> Summary:
    """The summary of a mail; the same octets give the same summary on server and client."""
    return Summary(
        fields=tuple((f.name, mail.raw(f.field)) for f in mail.fields if f.name in PUBLISHED),
        structure=structure(mail.octets, mail.root),
        preview=preview(mail.octets, mail.root),
        attachments=len(attachments(mail.root)),
        size=len(mail.octets),
        header_size=mail.root.body,
        names=tuple({f.name: None for f in mail.fields if f.name not in PUBLISHED}),
    )


def fit(envelope: Envelope, summary: Summary) -> bytes:
    """The bytes of an envelope that holds all of its summary, or else as much of it as fits, the
    rest named in `omitted`."""
    octets = encode(envelope)
    if len(octets) <= MAX_NAMES or (
        len(octets) <= MAX_ENVELOPE and _size(summary, NAMES) <= MAX_NAMES
    ):
        return octets
    bare = replace(fill(envelope, summary, KEPT_FIRST), omitted=KEPT_FIRST)
    room = MAX_ENVELOPE - len(encode(bare))
    omitted = []
    for name in KEPT_FIRST:
        size = _size(summary, name)
        if size <= (min(room, MAX_NAMES) if name == NAMES else room):
            room -= size
        else:
            omitted.append(name)
    return encode(fill(envelope, summary, omitted))


def _size(summary: Summary, name: str) -> int:
    if name == "structure":
        return json_size(summary.structure)
    if name == "preview":
        return json_size(summary.preview)
    if name == NAMES:
        return names_size(summary.names or ())
    return sum(len(raw) for found, raw in summary.fields if found == name.encode())


def fill(envelope: Envelope, summary: Summary, omitted: Iterable[str]) -> Envelope:
    """The envelope with the summary but for what is omitted."""
    names = tuple(omitted)
    left_out = {name.encode() for name in names}
    return replace(
        envelope,
        fields=b"".join(raw for name, raw in summary.fields if name not in left_out),
        structure=None if "structure" in names else summary.structure,
        preview=None if "preview" in names else summary.preview,
        attachments=summary.attachments,
        size=summary.size,
        header_size=summary.header_size,
        omitted=names,
        names=None if NAMES in names else summary.names,
    )


def agrees(envelope: Envelope, summary: Summary) -> bool:
    """Whether the envelope says of the mail what its octets say.

    Of an envelope made by other rules for structure and preview only the rest is compared, or a
    better rule would call every older mail a lie.
    """
    if envelope.names is None and NAMES not in envelope.omitted:  # made before there were names
        summary = replace(summary, names=None)
    if envelope.summary == SUMMARY_VERSION:
        if not envelope.omitted and _is_same(envelope, summary):
            return True
        return fit(fill(envelope, summary, ()), summary) == encode(envelope)
    exact = fill(envelope, summary, envelope.omitted)
    return (exact.fields, exact.names, exact.size, exact.header_size) == (
        envelope.fields,
        envelope.names,
        envelope.size,
        envelope.header_size,
    )


def _is_same(envelope: Envelope, summary: Summary) -> bool:
    """Of an envelope with nothing omitted, and quicker than making it again."""
    return (
        envelope.fields == b"".join(raw for _, raw in summary.fields)
        and envelope.structure == summary.structure
        and envelope.preview == summary.preview
        and envelope.names == summary.names
        and (envelope.attachments, envelope.size, envelope.header_size)
        == (summary.attachments, summary.size, summary.header_size)
    )
