"""Sealing one mail for one account, wherever it runs. No secret key of an account is here."""

from dataclasses import dataclass, field

from e2email_crypto import gate, packets
from e2email_crypto.armor import dearmor
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import CryptoError
from e2email_crypto.seal import seal
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.compose import compose
from e2email_protocol.sealed.record import Policy, Record

MAX_ARMORED = 64 * 1024 * 1024  # of a mail that its sender encrypted; above any mail taken
_ARMOR = b"-----BEGIN PGP"


@dataclass(frozen=True, slots=True)
class AccountSealer:
    """The Sealer of protocol/sealed for one account: seals, signs as the server, reads packets."""

    keys: tuple[gate.Recipient, ...]
    known_key_ids: frozenset[str]
    arrival_key: ArrivalKey = field(repr=False)

    @property
    def key_ids(self) -> frozenset[str]:
        return frozenset[str]().union(*(key.key_ids for key in self.keys))

    @property
    def signer(self) -> str:
        return self.arrival_key.key_id

    def seal(self, plaintext: bytes) -> bytes:
        """Raises SealFailed, also where the PKESK ids are not exactly key_ids."""
        return seal(plaintext, self.keys)

    def sign(self, envelope: bytes) -> bytes:
        return self.arrival_key.sign(envelope)

    def message_key_ids(self, message: bytes) -> frozenset[str]:
        try:
            if _ARMOR in message[:1000]:
                message = dearmor(message, b"MESSAGE", MAX_ARMORED)
            return packets.message_key_ids(message)
        except CryptoError:
            return frozenset()


@dataclass(frozen=True, slots=True)
class Job:
    """One mail for one account: everything that compose() needs, but for the server's key."""

    trace: bytes
    received: bytes
    account: str
    record_id: bytes
    boundary: bytes
    policy: Policy
    arrival: Arrival
    keys: tuple[gate.Recipient, ...]
    known_key_ids: frozenset[str]

    def __repr__(self) -> str:
        return f"Job({self.record_id.hex()}, {len(self.received)} octets)"


def run(job: Job, arrival_key: ArrivalKey) -> Record:
    """The sealed record. Raises SealFailed."""
    return compose(
        job.trace,
        job.received,
        account=job.account,
        record_id=job.record_id,
        boundary=job.boundary,
        policy=job.policy,
        arrival=job.arrival,
        sealer=AccountSealer(job.keys, job.known_key_ids, arrival_key),
    )
