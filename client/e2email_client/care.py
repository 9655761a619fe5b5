"""What keeps an account from being lost, and what of it is due: backup, drill, paper, a new expiry.

What was done is kept in the account's shared state, section "care", so that all devices know; how
often, in its section "settings". One line a day is said, with the command that settles it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from e2email_client import key_facts
from e2email_client.failure import LocalFault
from e2email_client.shared_state import SharedState
from e2email_crypto.vault import Custody, Vault

CARE, SETTINGS = "care", "settings"
DAY: Final = 86_400
_TOLD = "told"
DAYS_MAX: Final = 36_500
_RECOVERY_LABEL = b"e2email v1 printed recovery secret\0"


class Kind(StrEnum):
    """What may be due; also the keys in the shared state."""

    BACKUP = "backup"
    DRILL = "drill"
    PAPER = "paper"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Often:
    """Days until each is due again; 0: never said."""

    # contacts and settings change slowly, and a change of keys is said at once
    backup_days: int = 90
    # paper that nobody can find, a memory stick that forgot: noticed while they can be replaced
    drill_days: int = 180
    # ink and toner fade, people move
    paper_days: int = 3 * 365


@dataclass(frozen=True, slots=True)
class Done:
    """What was done last, and with what: the version of the vault, and a name for R."""

    time: int
    vault: int = 0
    recovery: str = ""


@dataclass(frozen=True, slots=True)
class Reminder:
    """One line for people, and the command that settles it."""

    kind: Kind
    text: str
    command: str

    @property
    def line(self) -> str:
        return f"{self.text} {self.command}"


def recovery_name(secret: bytes | None) -> str:
    """Tells one recovery secret from another. 128 random bits are not found from it."""
    return sha256(_RECOVERY_LABEL + secret).hexdigest()[:16] if secret else ""


def record(state: SharedState, kind: Kind, vault: Vault, now: int) -> None:
    """It was done now, with this vault. LocalFault."""
    done = Done(now, vault.counter, recovery_name(vault.recovery))
    state.put(CARE, kind.value, asdict(done), now)


def done(state: SharedState, kind: Kind) -> Done | None:
    """What is not understood was not done."""
    return _done(state.get(CARE).get(kind.value))


def often(state: SharedState) -> Often:
    known = state.get(SETTINGS)
    values = {one.name: known.get(one.name, one.default) for one in fields(Often)}
    return Often(**{name: _days(value, name) for name, value in values.items()})


def set_often(state: SharedState, wanted: Mapping[str, int], now: int) -> None:
    """`wanted`: names of Often's fields. LocalFault."""
    for name, days in wanted.items():
        if not 0 <= days <= DAYS_MAX:
            raise LocalFault(f"{name} is a number of days, at most {DAYS_MAX}.")
        state.put(SETTINGS, name, days, now)


def due(state: SharedState, vault: Vault, now: int) -> list[Reminder]:
    """What is due, the most urgent first."""
    limits = often(state)
    return [
        *_key(vault, now),
        *_backup(done(state, Kind.BACKUP), vault, limits.backup_days, now),
        *_paper(done(state, Kind.PAPER), vault, limits.paper_days, now),
        *_drill(done(state, Kind.DRILL), vault, limits.drill_days, now),
    ]


def once_a_day(state: SharedState, found: list[Reminder], now: int) -> Reminder | None:
    """The first of `found`, unless one was said today on any device that was heard of."""
    if not found:
        return None
    today, before = now // DAY, []

    def tell(day: Any | None) -> Any:
        before.append(day)
        return today

    state.update(CARE, _TOLD, tell, now, matters=lambda: False)
    return None if before[-1] == today else found[0]


def _key(vault: Vault, now: int) -> Iterator[Reminder]:
    """The end of a key comes by itself: this is not switched off."""
    said = key_facts.warning(vault, now) if vault.identities else None
    if said:
        yield Reminder(Kind.KEY, said, "e2email key extend")


def _backup(last: Done | None, vault: Vault, days: int, now: int) -> Iterator[Reminder]:
    if not days:
        return
    command = "e2email-backup create FILE"
    if last is None:
        said = "There is no backup of this account yet:"
    elif vault.counter > last.vault:
        said = "The account's keys or settings changed since the last backup:"
    elif _older(last, days, now):
        said = f"The last backup is {_age(last, now)} old:"
    else:
        return
    yield Reminder(Kind.BACKUP, said, command)


def _paper(last: Done | None, vault: Vault, days: int, now: int) -> Iterator[Reminder]:
    if not days or vault.recovery is None:
        return
    if last is None:
        said = "There is no recovery sheet yet:"
    elif last.recovery != recovery_name(vault.recovery):
        said = "The recovery words on paper are not valid any more:"
    elif vault.custody is Custody.PARANOID and vault.counter > last.vault:
        said = "The keys changed since the recovery sheet was printed:"
    elif _older(last, days, now):
        said = f"The recovery sheet is {_age(last, now)} old:"
    else:
        return
    yield Reminder(Kind.PAPER, said, "e2email-backup paper --pdf FILE")


def _drill(last: Done | None, vault: Vault, days: int, now: int) -> Iterator[Reminder]:
    if not days:
        return
    command = "e2email-backup drill"
    if last is None:
        said = "Nobody has tried yet whether this account can be restored:"
    elif last.recovery != recovery_name(vault.recovery):
        said = "The recovery words are new since the last drill:"
    elif _older(last, days, now):
        said = f"The last drill was {_age(last, now)} ago:"
    else:
        return
    if vault.custody is Custody.PARANOID:
        command += " BACKUPFILE"
    yield Reminder(Kind.DRILL, said, command)


def _older(last: Done, days: int, now: int) -> bool:
    return now - last.time >= days * DAY


def _age(last: Done, now: int) -> str:
    return f"{(now - last.time) // DAY} days"


def _done(value: Any) -> Done | None:
    """From another device, perhaps of another version."""
    if not isinstance(value, dict):
        return None
    time, vault, recovery = (value.get(name) for name in ("time", "vault", "recovery"))
    if type(time) is not int or type(vault) is not int or not isinstance(recovery, str):
        return None
    return Done(time, vault, recovery)


def _days(value: Any, name: str) -> int:
    known = type(value) is int and 0 <= value <= DAYS_MAX
    return int(value) if known else int(getattr(Often(), name))
