"""Contacts that were only learned from received mail: on this machine, bounded, by address.

Anybody can send mail under any address. So these neither travel to other devices nor take the room
of what somebody cared for; where there is no more room, nothing is learned, and nothing is dropped:
else a flood of forged mail would make this machine forget the key that it trusts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final

from .cipher import Database

log = logging.getLogger(__name__)

# More correspondents with Autocrypt than a person has.
MOST: Final = 2_000
OCTETS: Final = 32 * 1024 * 1024


class Learned:
    def __init__(self, state: Database) -> None:
        self._state = state

    def __repr__(self) -> str:
        return "Learned(…)"

    def every(self) -> dict[str, Any]:
        rows = self._state.read("SELECT address, value FROM learned")
        return {address: json.loads(value) for address, value in rows}

    def one(self, address: str) -> Any | None:
        rows = self._state.read("SELECT value FROM learned WHERE address = ?", (address,))
        return json.loads(rows[0][0]) if rows else None

    def update(self, address: str, change: Callable[[Any | None], Any | None]) -> None:
        """`change` gets the value and gives the new one, in one transaction."""
        with self._state.write() as writer:
            sql = "SELECT value FROM learned WHERE address = ?"
            row = writer.execute(sql, (address,)).fetchone()
            value = change(json.loads(row[0]) if row else None)
            text = json.dumps(value, separators=(",", ":"))
            if value is None or (row and row[0] == text):
                return
            count, octets = writer.execute(
                "SELECT count(*), coalesce(sum(octets), 0) FROM learned WHERE address <> ?",
                (address,),
            ).fetchone()
            if count >= MOST or octets + len(text) > OCTETS:
                log.warning("there is no room to learn another key from mail")
                return
            writer.execute(
                "INSERT OR REPLACE INTO learned (address, value, octets) VALUES (?, ?, ?)",
                (address, text, len(text)),
            )
