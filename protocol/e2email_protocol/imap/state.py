"""The states of a connection and what is allowed in each; what is absent is forbidden.

To add a command: give it a file in commands/, and name it here in every state it is for.
Nothing else in the engine looks at the state.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


_ANY = frozenset({b"CAPABILITY", b"NOOP", b"LOGOUT", b"ID"})
_AUTHENTICATED = _ANY | {
    b"ENABLE",
    b"NAMESPACE",
    b"LIST",
    b"LSUB",
    b"SELECT",
    b"EXAMINE",
    b"CREATE",
    b"DELETE",
    b"RENAME",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"STATUS",
    b"APPEND",
    b"IDLE",
    b"COMPRESS",
}
_SELECTED = _AUTHENTICATED | {
    b"CHECK",
    b"CLOSE",
    b"UNSELECT",
    b"EXPUNGE",
    b"SEARCH",
    b"FETCH",
    b"STORE",
    b"COPY",
    b"MOVE",
    b"REPLACE",
    b"SORT",
    b"THREAD",
    b"UID SORT",
    b"UID THREAD",
    b"UID REPLACE",
    b"UID EXPUNGE",
    b"UID SEARCH",
    b"UID FETCH",
    b"UID STORE",
    b"UID COPY",
    b"UID MOVE",
}

ALLOWED: dict[State, frozenset[bytes]] = {
    State.NOT_AUTHENTICATED: _ANY | {b"STARTTLS", b"LOGIN", b"AUTHENTICATE"},
    State.AUTHENTICATED: _AUTHENTICATED,
    State.SELECTED: _SELECTED,
    State.LOGOUT: frozenset(),
}

# No EXPUNGE reply while the client counts messages (RFC 3501 §7.4.1)
# (RFC 5256 §3 for SORT and THREAD)
HOLDS_NUMBERS = frozenset({b"FETCH", b"STORE", b"SEARCH", b"SORT", b"THREAD"})
