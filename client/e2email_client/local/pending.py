"""What is promised to programs and the server has not said yes to, as it lies over what it says.

Flags that come from the server go through `over` inside the transaction that writes them, so that
nothing it says undoes a promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Effect:
    """What a message's flags become: some added, some removed, or the message is gone."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    gone: bool = False

    def then(self, later: Effect) -> Effect:
        """Both, in this order. Gone is gone."""
        return Effect(
            (self.added - later.removed) | later.added,
            (self.removed - later.added) | later.removed,
            self.gone or later.gone,
        )

    def over(self, flags: frozenset[str]) -> frozenset[str]:
        return (flags - self.removed) | self.added


class Pending(Protocol):
    """The journal, as those see it who write down what the server says."""

    def effects(self, name: str, object_id: str, uidvalidity: int) -> Mapping[int, Effect]:
        """By UID, for one mailbox. Read anew each time: another program may have promised."""
        ...


class Nothing:
    """Nothing was promised."""

    def effects(self, name: str, object_id: str, uidvalidity: int) -> Mapping[int, Effect]:
        return {}


NOTHING = Nothing()
