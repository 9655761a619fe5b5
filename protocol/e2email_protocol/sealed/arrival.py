"""How a message came: the part of the envelope that the server states and signs."""

import re
from dataclasses import dataclass

MAX_TIME = 253_402_300_800  # the year 10000, where Date fields end
MAX_VERDICTS = 16
MAX_VERDICTS_SIZE = 2000  # characters altogether: they share the envelope's 16 KiB
SMTP = "smtp"
DEVICE = "device"
_ORIGIN = re.compile(r"smtp|device|append:[ -~]{1,64}")
_WORD = re.compile(r"[ -~]{0,64}")
_NAME = re.compile(r"[a-z0-9-]{1,32}")
_TEXT = re.compile(r"[ !#-\[\]-~]*")  # printable ASCII that JSON does not escape


@dataclass(frozen=True, slots=True)
class Arrival:
    """`origin` is smtp, device or append:<program>; `tls` as `TLSv1.3`, empty when in clear.

    `time` is in Unix seconds. `verdicts` are (name, text) as ("spf", "pass example.net"), of SMTP
    only: what a program appended has passed no check. Raises ValueError otherwise.
    """

    origin: str
    tls: str
    time: int
    verdicts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if (
            _ORIGIN.fullmatch(self.origin) is None
            or _WORD.fullmatch(self.tls) is None
            or not 0 <= self.time < MAX_TIME
        ):
            raise ValueError("not an arrival")
        if self.verdicts and self.origin != SMTP:
            raise ValueError("verdicts belong to mail that came by SMTP")
        size = sum(len(name) + len(text) for name, text in self.verdicts)
        if len(self.verdicts) > MAX_VERDICTS or size > MAX_VERDICTS_SIZE:
            raise ValueError("too many verdicts")
        for name, text in self.verdicts:
            if _NAME.fullmatch(name) is None or _TEXT.fullmatch(text) is None:
                raise ValueError("not a verdict")


def appended(program: str, tls: str, time: int) -> Arrival:
    """Of a mail that an IMAP program stored; `program` is its word for itself, cleaned here."""
    word = "".join(c for c in program if " " <= c <= "~")[:64].strip()
    return Arrival(f"append:{word or 'unknown'}", tls, time)
