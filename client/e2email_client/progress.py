"""How far a program is, for the person at the terminal: one bar for each mailbox and step."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import click

from e2email_client import clean
from e2email_client.sync import Progress

_STEPS = {"list": "list", "envelopes": "headers", "bodies": "messages"}
_NAME_COLUMNS = 24


class Bars:
    """Reports go to standard error, where it is a terminal; nowhere else. A context manager."""

    def __init__(self) -> None:
        self._wanted = sys.stderr.isatty()
        self._stack = ExitStack()
        self._bar: Any = None  # click does not export the type
        self._step = ("", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    def report(self, at: Progress) -> None:
        if not self._wanted or at.total == 0:
            return
        if (at.mailbox, at.step) != self._step:
            self._stack.close()
            self._step = (at.mailbox, at.step)
            self._bar = self._stack.enter_context(_bar(at))
        self._bar.update(at.done - self._bar.pos)


def _bar(at: Progress) -> Any:
    name = clean.line(at.mailbox, _NAME_COLUMNS)
    label = f"{name:<{_NAME_COLUMNS}} {_STEPS.get(at.step, at.step):<9}"
    return click.progressbar(length=at.total, label=label, show_pos=True, file=sys.stderr)
