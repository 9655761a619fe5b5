"""Accounts with real keys, and their mail opened again as their owner would."""

import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.keyedit import Identity, new_identity, sign_detached
from e2email_crypto.open import OpenWorker
from e2email_crypto.packets import PUBLIC_SUBKEY, key_facts, split
from e2email_crypto.statement import Certificate as StatedCertificate
from e2email_crypto.statement import Policy as StatedPolicy
from e2email_crypto.statement import Statement as Stated
from e2email_crypto.statement import sign_entry
from e2email_protocol.sealed.opened import Opened, open_body, open_envelope
from e2email_protocol.sealed.record import Policy, Record
from e2email_server.config import Config, Listen, TlsFiles
from e2email_server.store.types import Certificate, Kdf, NewAccount, Statement
from support.sealing import RealOpener

CREATED = int(time.time()) - 60
ARRIVAL_KEY = ArrivalKey(bytes(range(32)))


@dataclass(frozen=True)
class Resident:
    """Somebody who has an account here."""

    address: str
    identity: Identity
    stated: Stated

    @property
    def account(self) -> NewAccount:
        """What registration stores."""
        entry = self.entry(self.stated)
        return NewAccount(
            self.address,
            Policy(self.stated.policy.value),
            Kdf(3, 65536, b"s" * 16),
            "$argon2id$",
            (Certificate(self.identity.fingerprint, self.identity.cert),),
            Statement(self.stated.sequence, entry),
        )

    def entry(self, stated: Stated) -> bytes:
        sign = lambda data: sign_detached(self.identity.tsk, data)  # noqa: E731
        return sign_entry(stated, self.identity.fingerprint, sign).encode()

    def but(self, **changes: object) -> "Resident":
        """The same with another statement."""
        return replace(self, stated=replace(self.stated, **changes))

    @contextmanager
    def opener(self):
        with OpenWorker(self.identity.tsk) as worker:
            yield RealOpener(worker, self.stated.key_ids, ARRIVAL_KEY.public)

    def open(self, record: Record) -> Opened:
        """Raises what the protocol's opening raises."""
        return self.open_all([record])[0]

    def open_all(self, records: Iterable[Record]) -> list[Opened]:
        with self.opener() as opener:
            return [self._open(record, opener) for record in records]

    def _open(self, record: Record, opener: RealOpener) -> Opened:
        envelope = open_envelope(
            record.envelope, account=self.address, record_id=record.record_id, opener=opener
        )
        return open_body(envelope, record.body, opener)


def resident(address: str = "alice@example.test", policy: str = "sealed") -> Resident:
    """The same person each time."""
    return _made(address, policy)


@lru_cache
def _made(address: str, policy: str) -> Resident:
    identity = new_identity(address, "", CREATED)
    subkeys = tuple(
        key_facts(packet.body).fingerprint
        for packet in split(identity.cert, 64)
        if packet.tag == PUBLIC_SUBKEY
    )
    certificate = StatedCertificate(identity.fingerprint, subkeys)
    stated = Stated(1, (address,), (certificate,), StatedPolicy(policy), CREATED)
    return Resident(address, identity, stated)


def house(**changes: object) -> Config:
    """Settings of a server for example.test that listens nowhere."""
    nowhere = Path("/nonexistent")
    config = Config(
        path=nowhere / "server.toml",
        hostname="mx.example.test",
        domains=frozenset({"example.test"}),
        data=nowhere,
        listen=Listen(),
        tls=TlsFiles(nowhere, nowhere),
    )
    return replace(config, **changes)
