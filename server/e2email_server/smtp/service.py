"""What all sessions of inbound SMTP share, and the watch over their time."""

import asyncio
import logging
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Protocol

from .budget import Connections, MemoryBudget
from .delivery import Delivery
from .limits import Limits

log = logging.getLogger("e2email.smtp")

TICK = 1.0  # seconds between looks at the clock; one timer for all instead of one a command


class Watched(Protocol):
    """The side of a session that the watch sees."""

    task: asyncio.Task[None] | None

    def overdue(self, now: float, patience: float) -> bool:
        """Whether the peer has had its time."""

    def cut(self, reply: bytes) -> None:
        """Say one last thing and close."""

    def retire(self) -> None:
        """Close now if no mail is in flight, else after it."""


@dataclass(slots=True)
class Service:
    """One per server. `tls` None means no STARTTLS is offered."""

    hostname: str
    delivery: Delivery
    memory: MemoryBudget
    limits: Limits = field(default_factory=Limits)
    tls: ssl.SSLContext | None = None
    stopping: bool = False
    sessions: set[Watched] = field(default_factory=set)
    connections: Connections = field(init=False)

    def __post_init__(self) -> None:
        self.connections = Connections(self.limits)

    def new_id(self) -> str:
        """Names a transaction in the reply, in Received and in the log."""
        return secrets.token_hex(8)

    async def watch(self) -> None:
        """Close the sessions that are out of time, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            now, patience = loop.time(), self.connections.patience
            late = [session for session in self.sessions if session.overdue(now, patience)]
            for session in late:
                session.cut(b"421 4.4.2 Out of time")

    async def drain(self) -> None:
        """Let transactions in flight end, within the drain limit, and cut what is left."""
        self.stopping = True
        for session in list(self.sessions):
            session.retire()
        tasks = [session.task for session in self.sessions if session.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self.limits.drain)
        if self.sessions:
            log.warning("%d mails in flight are cut, their senders keep them", len(self.sessions))
        for session in list(self.sessions):
            session.cut(b"421 4.3.2 Shutting down")
