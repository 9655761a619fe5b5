"""Makes the engine of each connection, and hangs up on passwords that were revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from weakref import WeakKeyDictionary

from e2email_client.log import report
from e2email_client.proxy import tls
from e2email_client.proxy.account import ProxyAccount
from e2email_client.proxy.config import Config
from e2email_client.proxy.listening import Listeners
from e2email_client.proxy.pop3 import Pop3Session
from e2email_client.proxy.session import ProxySession
from e2email_protocol.engine import Engine
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.pop3.connection import Connection as Pop3Connection
from e2email_protocol.pop3.context import Settings as Pop3Settings
from e2email_protocol.serve import Face, Peer, growing_delay

REVOKED_SECONDS = 1.0  # how often it is looked for passwords that were revoked
_IMAP_FULL = b"* BYE too many connections\r\n"
_POP3_FULL = b"-ERR [SYS/TEMP] too many connections\r\n"


class Doors:
    """Remembers of each engine which session is behind it."""

    def __init__(self, accounts: Sequence[ProxyAccount]) -> None:
        self._accounts = accounts
        self._sessions: WeakKeyDictionary[Engine, ProxySession | Pop3Session] = WeakKeyDictionary()

    def faces(self, config: Config, certificate: tls.Certificate) -> dict[str, Face]:
        """By listener."""
        context = tls.context(certificate)

        def imap(name: str) -> Callable[[Peer], Engine]:
            return lambda peer: self._imap(peer, config.hidden.get(name, frozenset()))

        return {
            "imap": Face(imap("imap"), _IMAP_FULL, report, lambda: context),
            "imaps": Face(imap("imaps"), _IMAP_FULL, report, lambda: context, implicit=True),
            "pop3": Face(self._pop3, _POP3_FULL, report, lambda: context),
            "pop3s": Face(self._pop3, _POP3_FULL, report, lambda: context, implicit=True),
        }

    def _imap(self, peer: Peer, hidden: frozenset[bytes]) -> Engine:
        session = ProxySession(self._accounts)
        settings = Settings(
            starttls=not peer.tls, penalty=growing_delay, hidden=hidden, clock=time.time
        )
        return self._entered(Connection(session, settings, tls=peer.tls, report=report), session)

    def _pop3(self, peer: Peer) -> Engine:
        session = Pop3Session(self._accounts)
        settings = Pop3Settings(stls=not peer.tls, penalty=growing_delay)
        engine = Pop3Connection(session, settings, tls=peer.tls, report=report)
        return self._entered(engine, session)

    def _entered(self, engine: Engine, session: ProxySession | Pop3Session) -> Engine:
        self._sessions[engine] = session
        return engine

    async def watch(self, listeners: Listeners) -> None:
        """Hang up on who came in with a password that another program revoked since."""
        seen: dict[str, int] = {}
        while True:
            for account in self._accounts:
                try:
                    version = await asyncio.to_thread(account.passwords.version)
                    if seen.get(account.address) != version:
                        valid = await asyncio.to_thread(account.passwords.ids)
                        self._hang_up(listeners, account, valid)
                    seen[account.address] = version
                except Exception as fault:  # noqa: BLE001  # locked for once: the next look sees it
                    report(fault)
            await asyncio.sleep(REVOKED_SECONDS)

    def _hang_up(self, listeners: Listeners, account: ProxyAccount, valid: Collection[int]) -> None:
        def revoked(engine: Engine) -> bool:
            session = self._sessions.get(engine)
            entered = session.entered if session is not None else None
            return (
                entered is not None and entered.account is account and entered.number not in valid
            )

        listeners.dismiss(revoked, b"the password was revoked")
