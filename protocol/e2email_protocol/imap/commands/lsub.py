"""LSUB (RFC 3501 §6.3.9)."""

from __future__ import annotations

from dataclasses import dataclass

from ..chunks import Chunks
from ..context import Context, Ok, Steps
from ..cursor import Cursor
from ..names import name_matcher
from .list import parents


@dataclass(frozen=True, slots=True)
class Lsub:
    pattern: bytes

    async def run(self, context: Context) -> Steps:
        matches = name_matcher(context.name(self.pattern))
        infos = await context.session.list_mailboxes()
        subscribed = {
            info.name: info.exists and info.selectable for info in infos if info.subscribed
        }
        shown = {name: good for name, good in subscribed.items() if matches(name)}
        if self.pattern.endswith(b"%"):
            # a parent stands for subscribed children that the pattern does not reach
            for name in subscribed:
                for parent in parents(name):
                    if matches(parent):
                        shown.setdefault(parent, False)
        out = Chunks()
        for name in sorted(shown):
            attributes = b"" if shown[name] else b"\\Noselect"
            out.add(b"* LSUB (" + attributes + b') "/" ' + context.quote(name) + b"\r\n")
        yield out.take()
        yield Ok()


# lsub = "LSUB" SP mailbox SP list-mailbox
def parse(cursor: Cursor) -> Lsub:
    cursor.space()
    reference = cursor.astring()
    cursor.space()
    pattern = cursor.list_pattern()
    cursor.end()
    return Lsub(reference + pattern)
