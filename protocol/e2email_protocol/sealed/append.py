"""What a program stores by APPEND: our own rendering is taken back as the record it renders."""

from e2email_protocol.sealed.compose import is_sender_encrypted
from e2email_protocol.sealed.mail import Mail
from e2email_protocol.sealed.record import Form, Record
from e2email_protocol.sealed.render import parse_rendered
from e2email_protocol.sealed.sealer import Keys


def own_record(octets: bytes, keys: Keys) -> Record | None:
    """The record, if these octets are exactly a rendering and sealed to keys of this account only.

    None for everything else, also for another account's rendering: that is mail like any other,
    and sealed (compose() with an arrival of appended()).
    """
    record = parse_rendered(octets)
    if record is None or not _is_for(keys, record.envelope):
        return None
    if record.form is Form.SEALED:
        return record if _is_for(keys, record.body) else None
    return record if is_sender_encrypted(Mail(record.body), keys) else None


def _is_for(keys: Keys, message: bytes) -> bool:
    named = keys.message_key_ids(message)
    return bool(named) and named <= keys.known_key_ids
