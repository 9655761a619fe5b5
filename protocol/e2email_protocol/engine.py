"""What a server engine without input or output looks like to its driver (serve.py)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol


class Engine(Protocol):
    """IMAP and POP3 engines. The driver feeds octets, iterates replies() and obeys the flags."""

    @property
    def backlog(self) -> int:
        """Octets received and not looked at yet: the driver stops reading when there are many."""
        ...

    @property
    def unfinished(self) -> int | None:
        """Octets held of a message that is still on its way in; None: there is none.

        They hold memory that others wait for, so the driver gives them a deadline.
        """
        ...

    @property
    def received(self) -> int:
        """How many commands came whole: the deadline is one command's, not the connection's."""
        ...

    @property
    def closing(self) -> bool:
        """Hang up, once what was said is written."""
        ...

    @property
    def wants_tls(self) -> bool:
        """STARTTLS was answered: start TLS, then call secured()."""
        ...

    @property
    def authenticated(self) -> bool:
        """The login deadline no longer counts."""
        ...

    @property
    def watching(self) -> bool:
        """Between replies() wait for changed(), too."""
        ...

    def receive_data(self, data: bytes) -> None: ...

    def replies(self) -> AsyncGenerator[bytes, None]:
        """All that can be said now; ends when more octets are needed. Begins with the greeting.

        An empty piece says nothing: it lets other connections work in between.
        """
        ...

    async def changed(self) -> None:
        """Return when replies() may have news; may be cancelled."""
        ...

    def secured(self) -> None:
        """TLS has begun; what came in clear before is forgotten."""
        ...

    def heartbeat(self) -> bytes:
        """Octets that may be sent while a reply takes long; b"" if none."""
        ...

    def farewell(self, reason: bytes) -> bytes:
        """The last line where the driver hangs up; b"" if none may be sent now."""
        ...

    async def close(self) -> None:
        """The connection is over. Called once."""
        ...
