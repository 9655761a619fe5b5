"""The certificate of this machine's proxy, and each account's general password, in state.db.

There is one certificate a machine, and no place of the machine's own that is encrypted. So every
account holds a copy, and what most of them hold is the machine's: an account that is added takes
it over, and one that is removed leaves it to the others.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from e2email_client.failure import LocalFault
from e2email_client.proxy import tls
from e2email_client.proxy.passwords import GENERAL, PREFIX, Passwords
from e2email_client.proxy.tls import Certificate
from e2email_crypto import token


@dataclass(frozen=True, slots=True)
class ProxySecrets:
    """`passwords`: the general one of each account, "" where it was revoked."""

    certificate: Certificate
    passwords: tuple[str, ...] = field(repr=False)


class Uncovered(LocalFault):
    """The certificate lacks a name. With a new one for `names` every program asks again."""

    def __init__(self, names: Sequence[str], lacking: Sequence[str]) -> None:
        super().__init__(
            f"The proxy's certificate is not made for {', '.join(lacking)}; "
            "e2email-proxy certificate --renew makes one that is, "
            "which every program must be told to trust again."
        )
        self.names = tuple(names)


def obtain(
    accounts: Sequence[Passwords],
    now: dt.datetime,
    names: Sequence[str] = (),
    *,
    renew: bool = False,
) -> ProxySecrets:
    """Those of this machine, made the first time; the certificate anew when it is about to end.

    `renew`: anew in any case, and then for `names` only. Uncovered: it is made for other names.
    """
    with ExitStack() as stack:
        # all at once, always in one order: two programs that begin together must not give out
        # different certificates or passwords
        ordered = sorted(accounts, key=lambda one: str(one.state.path))
        writers = {id(one): stack.enter_context(one.state.write()) for one in ordered}
        rows = [_row(writers[id(one)]) for one in accounts]
        chosen = _chosen([Certificate(*row[1:]) for row in rows if row], now, names, renew=renew)
        passwords = tuple(
            _kept(writers[id(one)], one, row, chosen, now)
            for one, row in zip(accounts, rows, strict=True)
        )
    return ProxySecrets(chosen, passwords)


def _chosen(
    held: Sequence[Certificate], now: dt.datetime, names: Sequence[str], *, renew: bool
) -> Certificate:
    if renew:
        return tls.make(now, names)
    usable = [one for one in held if one.usable_at(now)]
    if not usable:
        old = elected(held)
        return tls.make(now, [*(old.names if old else ()), *names])
    chosen = elected([one for one in usable if one.covers(names)] or usable)
    assert chosen is not None
    if not chosen.covers(names):
        lacking = [one for one in names if not chosen.covers([one])]
        raise Uncovered([*chosen.names, *lacking], lacking)
    return chosen


def elected(held: Sequence[Certificate]) -> Certificate | None:
    """What most accounts hold; of equals the oldest, which programs trust already."""
    counts = Counter(one.certificate for one in held)
    return min(
        held, key=lambda one: (-counts[one.certificate], one.made, one.certificate), default=None
    )


def _row(writer: Any) -> tuple[str, bytes, bytes, bytes] | None:
    row: tuple[str, bytes, bytes, bytes] | None = writer.execute(
        "SELECT password, tls_key, tls_certificate, tls_authority FROM proxy WHERE id = 1"
    ).fetchone()
    return row


def _kept(
    writer: Any,
    passwords: Passwords,
    row: tuple[str, bytes, bytes, bytes] | None,
    chosen: Certificate,
    now: dt.datetime,
) -> str:
    """Written down where it isn't yet; the account's general password."""
    password = row[0] if row else token.generate(PREFIX)
    wanted = (password, chosen.key, chosen.certificate, chosen.authority)
    if row != wanted:
        writer.execute("INSERT OR REPLACE INTO proxy VALUES (1, ?, ?, ?, ?)", wanted)
    known = writer.execute("SELECT 1 FROM app_password WHERE name = ?", (GENERAL,)).fetchone()
    if password and not known:
        passwords.keep(writer, GENERAL, password, int(now.timestamp()))
    return password
