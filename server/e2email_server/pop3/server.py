"""The POP3 listeners of the sealed face: implicit TLS and STLS, one engine for both."""

import logging
import ssl
from collections.abc import Sequence

from e2email_protocol.pop3.connection import Connection
from e2email_protocol.pop3.context import Settings
from e2email_protocol.pop3.errors import Refused, Unavailable
from e2email_protocol.serve import Face, Limits, Peer, growing_delay
from e2email_server.config import Endpoint
from e2email_server.pop3.session import Pop3Backend, SealedPop3Session
from e2email_server.serving import Serving, serve_face

log = logging.getLogger(__name__)

_REFUSAL = b"-ERR [SYS/TEMP] too many connections\r\n"


async def start_pop3(
    endpoints: Sequence[Endpoint],
    backend: Pop3Backend,
    tls: ssl.SSLContext,
    *,
    implicit: bool,
    limits: Limits | None = None,
    drain: float = 10.0,
) -> Serving:
    """Listen on all endpoints. Raises OSError where one cannot be had; none is left open then."""
    settings = Settings(stls=not implicit, penalty=growing_delay)

    def engine(peer: Peer) -> Connection:
        session = SealedPop3Session(backend, peer.host)
        return Connection(session, settings, tls=peer.tls, report=report)

    face = Face(engine, _REFUSAL, report, lambda: tls, implicit)
    return await serve_face(face, endpoints, limits, drain)


def report(error: BaseException) -> None:
    """What the peer is told blandly. The other refusals are everyday, and no fault of ours."""
    if not isinstance(error, Refused):
        log.error("pop3: unexpected", exc_info=error)
    elif isinstance(error, Unavailable):
        log.warning("pop3: %s: %s", type(error).__name__, error.__cause__ or error)
