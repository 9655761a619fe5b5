"""From delivered octets to a record. The only composer there is: server and client both use it."""

import hashlib
from urllib.parse import quote

from e2email_protocol.mime.text import encrypted_body
from e2email_protocol.sealed.armor import crc24
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.change import BadChange, Change, apply, restores
from e2email_protocol.sealed.envelope import Body, Envelope, json_size
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.marked import marked
from e2email_protocol.sealed.policy import hp_outer, outer_header
from e2email_protocol.sealed.record import FORMAT_VERSION, Form, Policy, Record
from e2email_protocol.sealed.sealer import Keys, Sealer
from e2email_protocol.sealed.signed import Signed, join_signed
from e2email_protocol.sealed.summary import fit, summarise
from e2email_protocol.sealed.whole import attached, mixed

SEAL_FIELD = b"E2email-Seal"
# JSON octets; with the largest of everything else that cannot be left out it is under 16 KiB
MAX_CHANGES_SIZE = 9 << 10
_ACCOUNT_SAFE = "!#$&'*+/=?^_`{|}~@"  # RFC 5322 atext without `%`, and the sign between the halves


def compose(
    trace: bytes,
    received: bytes,
    *,
    account: str,
    record_id: bytes,
    boundary: bytes,
    policy: Policy,
    arrival: Arrival,
    sealer: Sealer,
) -> Record:
    """Seal one mail for one account.

    `trace` is our Return-Path and Received, `received` the octets as they came; `record_id` (16
    octets) and `boundary` (16 to 60 of [0-9A-Za-z]) are random. Nothing of the mail makes it
    fail: what cannot be marked is carried whole. Raises ValueError for arguments out of form
    and what the sealer raises. 4 KiB take 0.2 ms beside the sealer's work.
    """
    mail = Mail(trace + received, len(trace))
    encrypted = is_sender_encrypted(mail, sealer)
    changes: tuple[Change, ...] = ()
    if encrypted and policy is Policy.BASELINE:
        form, outer, kind = Form.VERBATIM, b"", Body.VERBATIM
        body = mail.octets
    else:
        form, outer = Form.SEALED, outer_header(policy, mail, arrival.time)
        front = seal_field(account, record_id) + hp_outer(outer)
        kind, changes, plaintext = body_plaintext(mail, front, boundary)
        body = sealer.seal(plaintext)
    summary = summarise(mail)
    envelope = fit(
        Envelope(
            account=account,
            record_id=record_id,
            policy=policy,
            arrival=arrival,
            body=kind,
            encrypted=encrypted,
            changes=changes,
            sha256=hashlib.sha256(mail.octets).digest(),
            size=summary.size,
            header_size=summary.header_size,
            trace=len(trace),
            key_ids=sealer.key_ids,
            attachments=summary.attachments,
            structure=summary.structure,
            preview=summary.preview,
            fields=b"".join(raw for _, raw in summary.fields),
            names=summary.names,
        ),
        summary,
    )
    return Record(
        record_id=record_id,
        form=form,
        version=FORMAT_VERSION,
        policy=policy,
        outer=outer,
        boundary=boundary,
        envelope=sealer.seal(_sign(envelope, sealer)),
        crc=crc24(body) if form is Form.SEALED else 0,
        body_size=len(body),
        body=body,
    )


def is_sender_encrypted(mail: Mail, keys: Keys) -> bool:
    """Whether the whole mail is one encryption, by its packets, and one of its keys is ours.

    A mail that only claims the type, or that names nobody here, is as good as clear.
    """
    span = encrypted_body(mail.octets, mail.root)
    if span is None:
        return False
    named = keys.message_key_ids(mail.octets[span[0] : span[1]])
    return not named.isdisjoint(keys.known_key_ids)


def seal_field(account: str, record_id: bytes) -> bytes:
    """The first line of every sealed body: whose it is and which, against swapped bodies."""
    text = f"1; account={quote(account, safe=_ACCOUNT_SAFE)}; id={record_id.hex()}"
    return b"%b: %b\r\n" % (SEAL_FIELD, text.encode("ascii"))


def body_plaintext(
    mail: Mail, front: bytes, boundary: bytes
) -> tuple[Body, tuple[Change, ...], bytes]:
    """(kind, changes, plaintext), chosen so that the inverse gives back the delivered octets."""
    changes = marked(mail, front)
    plaintext = _proved(mail.octets, changes)
    if changes is not None and plaintext is not None:
        return Body.CHANGED, changes, plaintext
    changes = mixed(mail, front, boundary)
    plaintext = _proved(mail.octets, changes)
    if changes is not None and plaintext is not None:
        return Body.WHOLE, changes, plaintext
    changes = attached(mail, front)
    return Body.WHOLE, changes, apply(mail.octets, changes)


def _proved(octets: bytes, changes: tuple[Change, ...] | None) -> bytes | None:
    if changes is None or not _few(changes):
        return None
    try:
        plaintext = apply(octets, changes)
    except BadChange:
        return None
    return plaintext if restores(plaintext, changes, octets) else None


def _few(changes: tuple[Change, ...]) -> bool:
    """Whether the envelope has room for them; their JSON is made only where that is in doubt."""
    if sum(30 + 6 * (len(c.removed) + len(c.inserted)) for c in changes) <= MAX_CHANGES_SIZE:
        return True  # no octet takes more than the six of \u00ff
    return sum(20 + json_size(c.removed) + json_size(c.inserted) for c in changes) <= (
        MAX_CHANGES_SIZE
    )


def _sign(envelope: bytes, sealer: Sealer) -> bytes:
    signature = sealer.sign(envelope) if sealer.signer else b""
    return join_signed(Signed(sealer.signer, signature, envelope))
