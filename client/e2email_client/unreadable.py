"""Why a mail is not opened: worth another try (Later), or never, in a sentence for the user."""

from collections.abc import Callable
from typing import TypeVar

from e2email_crypto.errors import CryptoError, OpenFailed
from e2email_protocol.sealed import opened as sealed
from e2email_protocol.sealed import reseal
from e2email_protocol.sealed.envelope import BadEnvelope

TOO_MUCH_TO_READ = "To read it takes more memory or time than is allowed."
NO_RECORD = "What the server holds is not a sealed message of this program's format."

T = TypeVar("T")


class Later(Exception):
    """Not opened this time, for a reason that may pass: a worker died or ran out of time."""


class KeyElsewhere(Later):
    """It takes a key that the account has and this machine does not have yet."""


class KeyGone(Later):
    """It takes a key that the account had and gave up: its owner may yet find it (key import)."""


class Unreadable(Exception):
    """Can never be opened. The text is a sentence of ours for the user."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.alarms: frozenset[sealed.Alarm] = frozenset()  # what is wrong with it besides


class TooMuch(CryptoError):
    """Two workers that had met nothing else died of this message, or ran out of time."""


def attempt(action: Callable[[], T]) -> T | Unreadable | Later:
    """The one place where failures of opening become the user's sentences."""
    try:
        return action()
    except (Unreadable, Later) as outcome:
        return outcome
    except (CryptoError, sealed.Refused, BadEnvelope) as error:
        return judged(error)


_WHY: tuple[tuple[type[Exception], str], ...] = (
    (TooMuch, "To open what its sender encrypted takes more memory or time than is allowed."),
    (sealed.NotThisRecord, "The server put the parts of different messages together."),
    (sealed.Damaged, "Its octets are not those that were delivered."),
    (
        reseal.NotResealed,
        "It is sealed to a key that is not the account's, or cannot be sealed anew.",
    ),
    (sealed.NotEncrypted, "It is marked as encrypted by its sender, and is not encrypted."),
)
_NO_FORMAT = "Its format is not known to this version of the program, or it is damaged."


def judged(error: Exception) -> Unreadable | Later:
    if isinstance(error, OpenFailed):
        if not error.final:
            return Later()
        return Unreadable("It is damaged, or sealed to a key that is not in this account's vault.")
    if isinstance(error, sealed.CopyOfStored):
        who = error.sender or "an unnamed sender"
        return Unreadable(f"A copy of a message stored in this mailbox was sent to you by {who}.")
    return Unreadable(next((why for kind, why in _WHY if isinstance(error, kind)), _NO_FORMAT))
