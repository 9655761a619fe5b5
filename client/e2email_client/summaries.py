"""What is shown of an opened mail: as its envelope announces it, or as its octets are."""

from collections.abc import Sequence

from e2email_client.digest import Digest, Heading
from e2email_client.local import published
from e2email_client.local.mails import Body, Security, State, Summary
from e2email_client.unreadable import TOO_MUCH_TO_READ, Unreadable
from e2email_protocol.sealed import opened as sealed
from e2email_protocol.sealed.arrival import SMTP
from e2email_protocol.sealed.sealer import Signature
from e2email_protocol.sealed.summary import NAMES

UNPROVEN = "unproven"


def announced(opened: sealed.OpenedEnvelope, heading: Heading | None) -> Summary | Unreadable:
    """From the envelope alone. CLOSED where the octets must be opened before anything is shown."""
    envelope = opened.envelope
    if heading is None:
        return Unreadable(TOO_MUCH_TO_READ)
    # an envelope that nobody vouches for could say anything: what was announced never changes
    left_out = set(envelope.omitted) - {NAMES}  # without them it is only answered less
    final = opened.proven and not envelope.encrypted and not left_out
    return Summary(
        state=State.READY if final else State.CLOSED,
        size=envelope.size,
        envelope=heading.envelope,
        structure=envelope.structure or b"",
        fields=envelope.fields,
        preview=envelope.preview or "",
        date=heading.date,
        subject=heading.subject,
        sender=heading.sender,
        recipients=heading.recipients,
        attachments=envelope.attachments,
        security=security_of(opened, opened.alarms, ()),
        names=published.pack(envelope.names),
    )


def settled(
    known: sealed.OpenedEnvelope, delivered: bytes, view: bytes, facts: Digest, security: Security
) -> tuple[Summary, Body]:
    """From the octets: this is what counts, whatever the envelope said."""
    summary, heading = facts.summary, facts.heading
    shown = Summary(
        state=State.OPENED,
        size=len(view),
        envelope=heading.envelope,
        structure=summary.structure,
        fields=b"".join(raw for _, raw in summary.fields),
        preview=summary.preview,
        date=heading.date,
        subject=heading.subject,
        sender=heading.sender,
        recipients=heading.recipients,
        attachments=summary.attachments,
        security=security,
        names=published.pack(summary.names),
    )
    body = Body(
        view=view,
        delivered=delivered,
        trace_length=known.envelope.trace,
        header=view[: summary.header_size],
        text=facts.text,
        header_text=facts.header_text,
    )
    return shown, body


def security_of(
    opened: sealed.OpenedEnvelope,
    alarms: frozenset[sealed.Alarm],
    signatures: Sequence[Signature],
) -> Security:
    # several signatures: the best one counts, a bad one beside it proves nothing
    best = min(signatures, key=lambda s: s.verdict != "valid", default=None)
    return Security(
        encryption=opened.security.value,
        origin=opened.envelope.arrival.origin if opened.proven else UNPROVEN,
        signature=best.verdict if best else "none",
        signer=best.fingerprint if best else "",
        alarms=tuple(sorted(alarm.value for alarm in alarms)),
        verdicts=dict(opened.verdicts) if opened.envelope.arrival.origin == SMTP else {},
    )


def named_alarms(why: str, alarms: frozenset[sealed.Alarm]) -> tuple[str, ...]:
    return (why, *sorted(alarm.value for alarm in alarms))
