"""What a person reads of a mail. Its MIME and HTML are parsed in a child process without any key.

The child is new for each mail: whatever a hostile mail does to it meets no other mail, and ends
with it.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from e2email_crypto.child_process import start

# Seconds for one mail, start of the interpreter included; the slowest real mail takes half a
# second, and a loaded small machine is slower.
DEADLINE = 20.0
# 4 MiB of text (reading_child.MAX_TEXT) and a thousand attachments, escaped as JSON
MAX_ANSWER = 64 * 1024 * 1024
_CODE = "from e2email_client import reading_child; reading_child.main()"


class Unshowable(Exception):
    """The mail cannot be turned into text within the limits. It can still be exported."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A part to save; strings are the sender's. `size` is in octets as sent."""

    media: str
    name: str
    size: int

    def __repr__(self) -> str:
        return f"Attached({self.size} octets)"


@dataclass(frozen=True, slots=True)
class Reading:
    """The text is the sender's, not yet made safe for a terminal. `attachments` is cut at a
    thousand; `attached` is how many there are."""

    text: str
    source: str  # media type of what the text was made from; "" where there is none
    cut: bool
    attachments: tuple[Attached, ...]
    attached: int

    def __repr__(self) -> str:
        return f"Reading({len(self.text)} characters, {self.attached} attachments)"


def read(octets: bytes) -> Reading:
    """The opened view of a mail → what a person reads. Blocks; raises Unshowable."""
    answer = _ask(octets)
    try:
        return _decode(json.loads(answer))
    except (ValueError, TypeError, KeyError, RecursionError):
        # killed by a limit, or no longer the program that was started
        raise Unshowable from None


def _ask(octets: bytes) -> bytes:
    try:
        with start(_CODE, -1) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            watch = threading.Timer(DEADLINE, child.kill)
            watch.start()
            try:
                child.stdin.write(octets)
                child.stdin.close()
                return child.stdout.read(MAX_ANSWER)
            finally:
                watch.cancel()
                child.kill()
    except BrokenPipeError:
        return b""  # it died while it was reading


def _decode(value: Any) -> Reading:
    attachments = tuple(
        Attached(str(media), str(name), int(size)) for media, name, size in value["attachments"]
    )
    return Reading(
        text=str(value["text"]),
        source=str(value["source"]),
        cut=bool(value["cut"]),
        attachments=attachments,
        attached=int(value["attached"]),
    )
