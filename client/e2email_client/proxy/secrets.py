"""The password and certificate of this machine's proxy, kept in state.db."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass, field
from typing import Any

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
    # in one transaction: two programs that begin at once must not give out different passwords
    with state.write() as writer:
        known = _read(writer)
        if known is not None and known.certificate.usable_at(now):
            return known
        made = ProxySecrets(known.password if known else _password(), tls.make(now))
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


def _read(writer: Any) -> ProxySecrets | None:
    row = writer.execute(
        "SELECT password, tls_key, tls_certificate, tls_authority FROM proxy WHERE id = 1"
    ).fetchone()
    return ProxySecrets(row[0], Certificate(*row[1:])) if row else None


def _password() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
