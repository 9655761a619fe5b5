"""The states of a connection and what is allowed in each; what is absent is forbidden.

To add a command: give it a function in commands/, and name it here in every state it is for.
Nothing else in the engine looks at the state.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    AUTHORIZATION = "not logged in"
    NAMED = "waiting for PASS"  # USER was accepted
    TRANSACTION = "logged in"
    UPDATE = "leaving"  # QUIT was said, whatever comes of it


_AUTHORIZATION = frozenset({b"CAPA", b"STLS", b"UTF8", b"USER", b"AUTH", b"QUIT"})

ALLOWED: dict[State, frozenset[bytes]] = {
    State.AUTHORIZATION: _AUTHORIZATION,
    State.NAMED: _AUTHORIZATION | {b"PASS"},
    State.TRANSACTION: frozenset(
        {
            b"CAPA",
            b"STAT",
            b"LIST",
            b"UIDL",
            b"RETR",
            b"TOP",
            b"DELE",
            b"RSET",
            b"NOOP",
            b"QUIT",
        }
    ),
    State.UPDATE: frozenset(),
}
