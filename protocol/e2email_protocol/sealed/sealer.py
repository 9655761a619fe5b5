"""What composing and opening need of OpenPGP, handed in: server and client pass an adapter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from e2email_protocol.sealed.arrival import Arrival


class Keys(Protocol):
    """What is known of one account's encryption keys. Key ids are 16 upper-case hex digits."""

    @property
    def known_key_ids(self) -> frozenset[str]:
        """Every encryption subkey in the account's key history, today's included."""

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        """PKESK ids of one OpenPGP message, binary or armored.

        A PKESK that hides whose it is counts as an id that no account has. Empty when the packets
        are not exactly PKESK+ and one SEIPD; never raises for bad input.
        """


class Sealer(Keys, Protocol):
    """Seals to the newest statement of one account. Errors of the adapter pass through."""

    @property
    def key_ids(self) -> frozenset[str]:
        """The encryption subkeys that seal() uses."""

    @property
    def signer(self) -> str:
        """Key id of the signing key (16 lower-case hex digits), empty if nothing is signed."""

    def seal(self, plaintext: bytes) -> bytes:
        """Binary OpenPGP message, PKESK+ SEIPD, whose PKESK ids are exactly key_ids."""

    def sign(self, envelope: bytes) -> bytes:
        """Ed25519 arrival signature of the exact envelope bytes, label included; 64 octets."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature found inside an encryption, judged by the adapter."""

    verdict: str  # valid | invalid | unknown-signer | refused-policy
    fingerprint: str  # upper-case hex, empty when unknown


@dataclass(frozen=True, slots=True, repr=False)
class Decrypted:
    """What came out of one OpenPGP message."""

    plaintext: bytes
    signatures: tuple[Signature, ...] = ()

    def __repr__(self) -> str:
        """Length only: the plaintext is somebody's mail."""
        return f"<Decrypted {len(self.plaintext)} octets, {len(self.signatures)} signatures>"


class Opener(Keys, Protocol):
    """Opens for one account. Errors of the adapter (cannot open, too large) pass through."""

    @property
    def stated_key_ids(self) -> Sequence[frozenset[str]]:
        """The encryption subkeys of each entry in the key history, the oldest first."""

    def open(self, message: bytes, max_plaintext: int) -> Decrypted:
        """Open one message, binary or armored."""

    def proves_origin(
        self, arrival: Arrival, signer: str, envelope: bytes, signature: bytes
    ) -> bool:
        """Whether `signer` may say that mail came so, and it signed this envelope.

        The server's key says so of `smtp` and `append:`, a device of the statement of `device`:
        neither speaks for the other.
        """
