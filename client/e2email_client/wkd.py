"""Web Key Directory: the key that a mail domain publishes for an address.

draft-koch-openpgp-webkey-service: the advanced method, and the direct one only where the host of
the advanced one does not exist. HTTPS with a certificate for the asked host; a redirect may lead to
the address's domain and hosts below it, nowhere else.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from e2email_client.failure import BadServer, Offline
from e2email_protocol.address import parse_address

# A certificate has at most 64 KiB; a revoked one may stand beside the new one.
ANSWER_MAX: Final = 2 * 64 * 1024
STEP_SECONDS: Final = 10.0
WHOLE_SECONDS: Final = 30.0  # whatever trickles in
REDIRECTS_MAX: Final = 3
HTTPS: Final = 443
_ZBASE32: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_NOTHING: Final = frozenset({404, 410})


class NoHost(Exception):
    """There is no such name."""


Dial = Callable[[str, int], socket.socket]


def dial(host: str, port: int) -> socket.socket:
    """NoHost, OSError."""
    try:
        return socket.create_connection((host, port), STEP_SECONDS)
    except socket.gaierror as fault:
        if fault.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)}:
            raise NoHost from None
        raise


def local_hash(local: str) -> str:
    """z-base-32 of the SHA-1 of the local part; ASCII letters in lower case, no others."""
    lower = bytes(octet + 32 if 65 <= octet <= 90 else octet for octet in local.encode())
    number = int.from_bytes(hashlib.sha1(lower, usedforsecurity=False).digest())
    return "".join(_ZBASE32[number >> 5 * at & 31] for at in reversed(range(32)))


def urls(address: str) -> tuple[str, str]:
    """Of the advanced and the direct method."""
    parsed = parse_address(address)
    domain = parsed.key[1]
    query = f"hu/{local_hash(parsed.local)}?l={quote(parsed.local, safe='')}"
    return (
        f"https://openpgpkey.{domain}/.well-known/openpgpkey/{domain}/{query}",
        f"https://{domain}/.well-known/openpgpkey/{query}",
    )


@dataclass(frozen=True, slots=True)
class Wkd:
    """Blocks. `context` and `dial` are what tests replace."""

    context: ssl.SSLContext
    dial: Dial = dial

    def look_up(self, address: str) -> bytes | None:
        """What is published, perhaps several certificates; None: nothing. Offline, BadServer."""
        advanced, direct = urls(address)
        domain = parse_address(address).key[1]
        try:
            return self._get(advanced, domain)
        except NoHost:
            pass
        try:
            return self._get(direct, domain)
        except NoHost:
            return None

    def _get(self, url: str, domain: str) -> bytes | None:
        for _ in range(REDIRECTS_MAX + 1):
            found = self._once(url)
            if not isinstance(found, str):
                return found
            url = _allowed(url, found, domain)
        raise BadServer(f"The key directory of {domain} redirects too often.")

    def _once(self, url: str) -> bytes | str | None:
        """The octets, or where else to look, or None for nothing."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        connection = _Connection(host, self.context, self.dial)
        guard = threading.Timer(WHOLE_SECONDS, connection.abort)
        guard.daemon = True
        guard.start()
        try:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request("GET", path, headers={"Accept": "application/octet-stream"})
            return _read(connection.getresponse(), host)
        except ssl.SSLError as fault:
            raise BadServer(f"The key directory at {host} is not trusted.") from fault
        except (OSError, HTTPException) as fault:
            raise Offline(f"The key directory at {host} does not answer.") from fault
        finally:
            guard.cancel()
            connection.close()


def _read(response: HTTPResponse, host: str) -> bytes | str | None:
    if response.status in _NOTHING:
        return None
    if response.status in _MOVED:
        return response.getheader("Location") or ""
    if response.status != 200:
        raise Offline(f"The key directory at {host} answers with status {response.status}.")
    octets = response.read(ANSWER_MAX + 1)
    if len(octets) > ANSWER_MAX:
        raise BadServer(f"The key directory at {host} answers with more than a key can be.")
    return octets or None


def _allowed(base: str, location: str, domain: str) -> str:
    """A redirect must not lead a look-up away from who speaks for the address."""
    try:
        url = urljoin(base, location)
        parts = urlsplit(url)
        port = parts.port or HTTPS
    except ValueError:
        raise BadServer(f"The key directory of {domain} redirects to nowhere.") from None
    host = (parts.hostname or "").lower()
    below = host == domain or host.endswith(f".{domain}")
    if parts.scheme != "https" or port != HTTPS or parts.username or not below:
        raise BadServer(f"The key directory of {domain} redirects away from {domain}.")
    return url


class _Connection(HTTPSConnection):
    def __init__(self, host: str, context: ssl.SSLContext, dial: Dial) -> None:
        super().__init__(host, HTTPS, timeout=STEP_SECONDS, context=context)
        self._dial, self._tls = dial, context

    def connect(self) -> None:
        raw = self._dial(self.host, self.port)
        try:
            raw.settimeout(STEP_SECONDS)
            self.sock = self._tls.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise

    def abort(self) -> None:
        """From the guard's thread: wakes a read that waits."""
        try:
            if self.sock is not None:
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself meanwhile
