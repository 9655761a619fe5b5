"""What comes in: bodies under a cap and a deadline, and who sent them."""

import asyncio
import base64
import binascii
import re
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from e2email_protocol.account import ADDRESS_CAP, AUTH_LENGTH, REQUEST_CAP
from e2email_protocol.jsonform import Form, FormInvalid
from e2email_server.api.reply import ApiError
from e2email_server.logins import RECOVERY_PREFIX, Identity, LoginRefused, Logins

# The largest body on a line of 1 Mbit/s takes 90 s.
BODY_SECONDS: Final = 120.0
_AUTH = re.compile(rf"[0-9a-f]{{{2 * AUTH_LENGTH}}}", re.ASCII)

Wish = TypeVar("Wish", bound=Form)


def peer(request: Request) -> str:
    """The network address of the other side; the socket's own, no header is believed."""
    return request.client.host if request.client else ""


async def read(request: Request, form: type[Wish], cap: int = REQUEST_CAP) -> Wish:
    """The message in the body. Raises ApiError, FormInvalid."""
    return form.decode(await octets(request, "application/json", cap, BODY_SECONDS))


def number(text: str) -> int:
    """A positive number that SQLite holds. Raises FormInvalid."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) > 0):
        raise FormInvalid("a number is expected in the path")
    return int(text)


async def octets(request: Request, kind: str, cap: int, seconds: float) -> bytes:
    """The body, which must be of this type. Raises ApiError.

    No browser sends one of ours to another site without asking first.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != kind:
        raise ApiError(415, "other-type", f"The body must be {kind}.")
    declared = request.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit() or int(declared[:20]) > cap:
        raise _too_large()
    try:
        async with asyncio.timeout(seconds):
            return await _body(request, cap)
    except TimeoutError:
        raise ApiError(408, "too-slow", "The request took too long.") from None
    except ClientDisconnect:
        raise ApiError(400, "bad-request", "The request ended early.") from None


async def _body(request: Request, cap: int) -> bytes:
    octets = bytearray()
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > cap:
            raise _too_large()
    return bytes(octets)


def _too_large() -> ApiError:
    return ApiError(413, "too-large", "The request is larger than it may be.")


async def owner(request: Request, logins: Logins) -> Identity:
    """Who proves the account afresh: by `auth` or by the recovery secret.

    Raises LoginRefused, TryLater, ApiError.
    """
    scheme, credential = _authorization(request)
    if scheme == "bearer" and credential.startswith(RECOVERY_PREFIX):
        return await logins.by_recovery(credential, peer(request))
    if scheme == "bearer":
        raise ApiError(403, "login-needed", "This needs the passphrase, not a device token.")
    if scheme != "basic":
        raise LoginRefused("no login")
    address, auth = _basic(credential)
    return await logins.by_auth(address, auth, peer(request))


async def owner_or_device(request: Request, logins: Logins) -> Identity:
    """Who proves the account afresh or by a device token."""
    scheme, credential = _authorization(request)
    if scheme == "bearer" and not credential.startswith(RECOVERY_PREFIX):
        return await logins.by_device(credential, peer(request))
    return await owner(request, logins)


def invite(request: Request) -> str:
    """The invite of a registration: in the header, so that it is judged before the body is read."""
    scheme, credential = _authorization(request)
    return credential if scheme == "bearer" else ""


def _authorization(request: Request) -> tuple[str, str]:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return scheme.lower(), credential.strip()


def _basic(credential: str) -> tuple[str, bytes]:
    """(address, auth) of `Basic base64(address:hex)` (RFC 7617). Raises LoginRefused."""
    try:
        pair = base64.b64decode(credential, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise LoginRefused("not Basic") from None
    address, _, auth = pair.partition(":")
    # nobody has such an address, and the throttle would remember it
    if len(address) > ADDRESS_CAP:
        raise LoginRefused("not an address")
    if _AUTH.fullmatch(auth) is None:
        raise LoginRefused("not an auth value")
    return address, bytes.fromhex(auth)
