"""What a person is shown of the account's keys, and when one of them is about to expire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from e2email_client.failure import LocalFault
from e2email_client.own_identity import public
from e2email_crypto.cert import SubkeyState, inspect_cert
from e2email_crypto.statement import Statement
from e2email_crypto.vault import Vault

DAY = 86_400
# Days before the end at which the owner is told; the last is a week of holidays.
WARNINGS = (60, 30, 7)
SHORTEST = 8  # hex digits of a fingerprint that name a key


class Role(StrEnum):
    """What the account does with a key."""

    IN_USE = "in use"  # mail to come is sealed to it
    READING = "for reading"  # mail that came before opens with it
    DEVICE = "of another device"  # mail to come is sealed to it, too, and its secret is elsewhere


@dataclass(frozen=True, slots=True)
class SubkeyFacts:
    """Times are seconds since 1970; `expires` None: never."""

    fingerprint: str
    created: int
    expires: int | None
    state: SubkeyState


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One identity or certificate of the account. `certificate` says everything it ever said."""

    fingerprint: str
    role: Role
    profile: str  # "compat" or "modern"
    created: int
    expires: int | None
    revoked: bool
    user_ids: tuple[str, ...]
    subkeys: tuple[SubkeyFacts, ...]
    certificate: bytes


def every(vault: Vault, newest: Statement, now: int) -> list[KeyFacts]:
    """All keys of a vault, those that mail is sealed to first."""
    own = [
        facts(
            public(one),
            Role.IN_USE if one.fingerprint in newest.fingerprints else Role.READING,
            now,
        )
        for one in vault.identities
    ]
    others = [facts(one, Role.DEVICE, now) for one in vault.recipients]
    return sorted([*own, *others], key=lambda one: one.role is Role.READING)


def facts(certificate: bytes, role: Role, now: int) -> KeyFacts:
    info = inspect_cert(certificate, now)
    return KeyFacts(
        fingerprint=info.fingerprint,
        role=role,
        profile="compat" if info.version == 4 else "modern",
        created=info.created,
        expires=info.expires,
        revoked=info.revoked,
        user_ids=info.user_ids,
        subkeys=tuple(
            SubkeyFacts(one.fingerprint, one.created, one.expires, one.state)
            for one in info.subkeys
        ),
        certificate=certificate,
    )


def find(keys: list[KeyFacts], wanted: str | None) -> KeyFacts:
    """The key of a fingerprint or its last digits, in groups or not; the one in use for None."""
    if wanted is None:
        return keys[0]
    digits = "".join(wanted.split()).upper().removeprefix("0X")
    found = [one for one in keys if one.fingerprint.endswith(digits)]
    if len(found) != 1 or len(digits) < SHORTEST:
        raise LocalFault("No single key of this account has that fingerprint: e2email key list.")
    return found[0]


def grouped(fingerprint: str) -> str:
    """For reading aloud: groups of four."""
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))


def ends(vault: Vault, now: int) -> int | None:
    """When mail can no longer be sealed to the key in use, seconds since 1970; None: never."""
    info = inspect_cert(vault.identities[0].certificate, now)
    usable = [one.expires for one in info.subkeys if one.state is SubkeyState.USABLE]
    last = None if not usable or None in usable else max(one for one in usable if one)
    return min((one for one in (info.expires, last) if one is not None), default=None)


def days_left(vault: Vault, now: int) -> int | None:
    """Days to the end of the key in use, 0 when it is over; None: it is further than warned of."""
    end = ends(vault, now)
    left = None if end is None else max(0, (end - now) // DAY)
    return left if left is not None and left <= WARNINGS[0] else None


def warning(vault: Vault, now: int) -> str | None:
    """The sentence that goes with `e2email key extend`."""
    left = days_left(vault, now)
    if left is None:
        return None
    if not left:
        return "Your key has expired or does so today, and mail to you is refused:"
    return f"Your key expires in {left} days, and mail to you is refused then:"
