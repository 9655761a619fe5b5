"""The listeners of the sealed face: implicit TLS and STARTTLS, one engine for both."""

import logging
import ssl
from collections.abc import Collection, Sequence

from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.imap.errors import OverQuota, Refused, Unavailable
from e2email_protocol.serve import Face, Limits, Peer, growing_delay
from e2email_server.config import Endpoint
from e2email_server.imap.append import NoKeyEver
from e2email_server.imap.capabilities import hidden
from e2email_server.imap.session import Backend, SealedSession
from e2email_server.serving import Serving, serve_face

log = logging.getLogger(__name__)

_REFUSAL = b"* BYE too many connections\r\n"


async def start_imap(
    endpoints: Sequence[Endpoint],
    backend: Backend,
    tls: ssl.SSLContext,
    *,
    implicit: bool,
    hide: Collection[str] = (),
    compress: bool = False,
    limits: Limits | None = None,
    drain: float = 10.0,
) -> Serving:
    """Listen on all endpoints. Raises OSError where one cannot be had; none is left open then."""
    face = _face(backend, tls, implicit, hide, compress)
    return await serve_face(face, endpoints, limits, drain)


def _face(
    backend: Backend,
    tls: ssl.SSLContext,
    implicit: bool,
    hide: Collection[str],
    compress: bool,
) -> Face:
    settings = Settings(
        starttls=not implicit,
        hidden=hidden(hide, backend.appending.limit),
        compress=compress,
        message_limit=backend.appending.literal_limit,
        penalty=growing_delay,
        clock=backend.appending.clock,
        budget=backend.budget,
    )

    def engine(peer: Peer) -> Connection:
        session = SealedSession(backend, peer.host)
        return Connection(session, settings, tls=peer.tls, report=report)

    return Face(engine, _REFUSAL, report, lambda: tls, implicit)


def report(error: BaseException) -> None:
    """What the peer is told blandly. The other refusals are everyday, and no fault of ours."""
    if not isinstance(error, Refused):
        log.error("imap: unexpected", exc_info=error)
    elif isinstance(error, Unavailable | OverQuota | NoKeyEver):
        log.warning("imap: %s: %s", type(error).__name__, error.__cause__ or error)
