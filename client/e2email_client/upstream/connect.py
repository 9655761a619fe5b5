"""From an unlocked account to a connection that is logged in."""

from __future__ import annotations

from e2email_client.api import tls_context
from e2email_client.failure import BadServer, Offline, Refused, WrongSecret
from e2email_client.unlock import Unlocked
from e2email_client.upstream.remote import Remote
from e2email_client.upstream.wire import Listener, Literal, Wire
from e2email_protocol.imap.response_types import Response

# A login refused with these says nothing of the token (RFC 5530).
_LATER = frozenset({"INUSE", "LIMIT", "SERVERBUG", "UNAVAILABLE"})

REVOKED = (
    "The server does not let this machine in any more: it was given up (e2email device revoke), or "
    "the account was set up anew. What is here can still be read and exported. To use it again: "
    "e2email setup ADDRESS --server URL (in paranoid custody, where the passphrase or account key "
    "was changed since: with --pair)."
)


def _unheard(_: Response) -> None:
    return None


async def connect(unlocked: Unlocked, listener: Listener = _unheard) -> tuple[Remote, Wire]:
    """Log in with this device's token. Offline, BadServer, WrongSecret."""
    server, settings = unlocked.server, unlocked.settings
    if not settings.imaps_port:
        raise BadServer("The server offers no IMAP under TLS.")
    wire = Wire(server.host, settings.imaps_port, server.name, tls_context(server), listener)
    try:
        await wire.greet()
        await wire.run(
            b"LOGIN",
            Literal(settings.address.encode()),
            Literal(unlocked.device_token.encode()),
        )
        remote = Remote(wire)
        await remote.begin()
    except Refused as fault:
        wire.hang_up()
        if fault.code in _LATER:
            raise Offline("The server takes no logins now.") from fault
        raise WrongSecret(REVOKED) from fault
    except BaseException:
        wire.hang_up()
        raise
    return remote, wire
