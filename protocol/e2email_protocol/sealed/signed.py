"""The plaintext of an envelope's OpenPGP message: a line that claims a signature, the envelope."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass

from e2email_protocol.sealed.envelope import MAX_ENVELOPE, BadEnvelope, canonical

_SIGNED = re.compile(
    rb'\{"signature":"([A-Za-z0-9+/]{86}==|)","signer":"([0-9a-f]{16}|)"\}', re.ASCII
)
_SIGNED_LINE = 256  # the line above is shorter
MAX_SIGNED = MAX_ENVELOPE + _SIGNED_LINE


@dataclass(frozen=True, slots=True, repr=False)
class Signed:
    """Envelope bytes with the signature that claims them; both empty where nothing was signed."""

    signer: str
    signature: bytes
    envelope: bytes

    def __repr__(self) -> str:
        """Signer and length only."""
        return f"<Signed by {self.signer or 'nobody'}, {len(self.envelope)} octets>"


def join_signed(signed: Signed) -> bytes:
    """The plaintext of the envelope's OpenPGP message: a line with the signature, the envelope."""
    members = {"signature": b64encode(signed.signature).decode(), "signer": signed.signer}
    return canonical(members).encode("ascii") + b"\n" + signed.envelope


def split_signed(plaintext: bytes) -> Signed:
    """Inverse of join_signed(). The signature is not checked here. Raises BadEnvelope."""
    end = plaintext.find(b"\n", 0, _SIGNED_LINE)
    match = _SIGNED.fullmatch(plaintext, 0, end) if end >= 0 else None
    if match is None:
        raise BadEnvelope("envelope without its signature line")
    try:
        signature = b64decode(match[1], validate=True)
    except Base64Error as error:
        raise BadEnvelope("signature is not base64") from error
    signed = Signed(match[2].decode(), signature, plaintext[end + 1 :])
    if join_signed(signed) != plaintext:
        raise BadEnvelope("signature line not in canonical form")
    return signed
