"""Log lines of programs that run on, to standard error. Neither mail nor secrets get there."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from typing import Any

from e2email_protocol.imap.errors import Refused

log = logging.getLogger("e2email_client")

# Libraries whose lower levels quote what passes through them.
_QUIET = ("aioimaplib", "aioimaplib.aioimaplib", "asyncio", "keyring")


def start_logging(level: str) -> None:
    """`level`: debug, info or warning."""
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def report_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For the event loop, whose own report prints exceptions and objects, which may hold mail."""
    fault = context.get("exception")
    if fault is None:
        log.error("internal error in the event loop")
    else:
        report(fault)


def report(fault: BaseException) -> None:
    """What an engine or a task met. Of an error nobody foresaw its type and where, never its text,
    which could quote mail."""
    if isinstance(fault, Refused):
        # answered to the program with a sentence of its own; the text is ours
        log.info("refused: %s %s", type(fault).__name__, fault)
        return
    where = "".join(traceback.format_tb(fault.__traceback__))
    log.error("internal error: %s\n%s", type(fault).__name__, where)
