"""Reserved keywords: what the client says of a mail's protection, for programs that know flags.

Only the proxy sets them; a program's STORE of one changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mails import Security

PREFIX = "$e2email-"
_ENCRYPTION = {
    "encrypted by the sender": "$e2email-encrypted-by-sender",
    "sealed on arrival": "$e2email-sealed-on-arrival",
    "sealed when it was stored": "$e2email-sealed-when-stored",
}
_SIGNATURE = {
    "valid": "$e2email-signature-valid",
    "invalid": "$e2email-signature-invalid",
    "unknown-signer": "$e2email-signature-unknown",
    "refused-policy": "$e2email-signature-refused",
}
UNPROVEN = "$e2email-origin-unproven"
ALARM = "$e2email-alarm"


def keywords(security: Security) -> frozenset[str]:
    said = {_ENCRYPTION.get(security.encryption, ""), _SIGNATURE.get(security.signature, "")}
    if security.origin == "unproven":
        said.add(UNPROVEN)
    if security.alarms:
        said.add(ALARM)
    return frozenset(said - {""})


def without_reserved(flags: frozenset[str]) -> frozenset[str]:
    """What may be stored of a program's flags."""
    return frozenset(flag for flag in flags if not flag.lower().startswith(PREFIX))
