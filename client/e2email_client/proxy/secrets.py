"""The password and certificate of this machine's proxy, kept in state.db."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass, field

from e2email_client.local.cipher import Database
from e2email_client.proxy import tls
from e2email_client.proxy.tls import Certificate

# 26 letters and digits of base 32: 130 bits
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_LENGTH = 26


@dataclass(frozen=True, slots=True)
class ProxySecrets:
    password: str = field(repr=False)
    certificate: Certificate


def obtain(state: Database, now: dt.datetime) -> ProxySecrets:
    """Those of this machine, made the first time; the certificate anew when it is about to end."""
    known = _read(state)
    if known is not None and known.certificate.usable_at(now):
        return known
    made = ProxySecrets(known.password if known else _password(), tls.make(now))
    with state.write() as writer:
        writer.execute(
            "INSERT OR REPLACE INTO proxy VALUES (1, ?, ?, ?, ?)",
            (
                made.password,
                made.certificate.key,
                made.certificate.certificate,
                made.certificate.authority,
            ),
        )
    return made


def _read(state: Database) -> ProxySecrets | None:
    rows = state.read(
        "SELECT password, tls_key, tls_certificate, tls_authority FROM proxy WHERE id = 1"
    )
    return ProxySecrets(rows[0][0], Certificate(*rows[0][1:])) if rows else None


def _password() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
