"""The HTTPS account API from the client's side: one request, one reply, typed errors.

Blocking on purpose; who has an event loop calls it in a thread. Redirects are not followed: they
could lead a login to another server.
"""

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import (
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
    RemoteDisconnected,
)
from typing import TypeVar
from urllib.parse import urlsplit

from e2email_client.failure import BadServer, LocalFault, Offline, Refused
from e2email_protocol import account as messages
from e2email_protocol.account import REPLY_CAP, Refusal
from e2email_protocol.jsonform import Form, FormInvalid

# No step of connection, handshake or reply may stand still longer than this.
STEP_SECONDS = 20.0
# A whole exchange, whatever trickles in: 11 MiB on a line of 1 Mbit/s.
EXCHANGE_SECONDS = 120.0
# Of a larger request: the same line.
OCTETS_A_SECOND = 128 * 1024

# From here on the server, or a proxy in front of it, could not answer: often in HTML, and whether
# it did what was asked is not known. Below, it did not.
FAILED = 500

# How a connection looks that the server ended while nothing was asked of it.
_ENDED = (
    RemoteDisconnected,
    BrokenPipeError,
    ConnectionResetError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)

Reply = TypeVar("Reply", bound=Form)


@dataclass(frozen=True, slots=True)
class Server:
    """Where to dial (`host`, `port`) and who must answer (`name`, in its TLS certificate).

    The name is bound into the keys of the account, so it comes from the user, never from the
    server: otherwise one server could ask for the login that another one accepts.
    """

    host: str
    port: int
    name: str
    ca: bytes | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def read_url(url: str, name: str | None = None, ca: bytes | None = None) -> Server:
    """A Server from https://HOST[:PORT]. LocalFault for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise LocalFault("The server's URL is not one.") from None
    extra = parts.username or parts.password or parts.query or parts.fragment
    if parts.scheme != "https" or not parts.hostname or extra or parts.path not in {"", "/"}:
        raise LocalFault("The server's URL has the form https://HOST or https://HOST:PORT.")
    return Server(parts.hostname, port, (name or parts.hostname).lower(), ca)


def tls_context(server: Server) -> ssl.SSLContext:
    """Verifies against the server's own authority if it has one, else the machine's."""
    try:
        ca = server.ca
        context = ssl.create_default_context(cadata=ca.decode("ascii") if ca else None)
    except (ssl.SSLError, UnicodeDecodeError):
        raise LocalFault("The certificate authority is not a PEM file.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(frozen=True, slots=True)
class Login:
    """What a request shows the server: `auth` afresh, the recovery secret's, a device
    token, or an invite."""

    header: str = field(repr=False)

    @classmethod
    def afresh(cls, address: str, auth: bytes) -> "Login":
        pair = f"{address}:{auth.hex()}".encode()
        return cls("Basic " + base64.b64encode(pair).decode("ascii"))

    @classmethod
    def recovery(cls, auth: bytes) -> "Login":
        """As good as `afresh`, for whoever has the recovery secret."""
        return cls("Bearer e2r_" + auth.hex())

    @classmethod
    def invite(cls, token: str) -> "Login":
        return cls("Bearer " + token)

    @classmethod
    def device(cls, token: str) -> "Login":
        return cls("Bearer " + token)


class AccountApi:
    """Requests to one server. Every method raises Offline, Refused or BadServer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._keeps = False
        self._kept: _Connection | None = None

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Calls inside, one after another, share a connection. Where it ended in between, the
        request is sent again on a new one: for what may be said twice."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False
            if self._kept is not None:
                self._kept.close()
            self._kept = None

    def call(
        self,
        method: str,
        path: str,
        reply: type[Reply],
        body: Form | bytes | None = None,
        login: Login | None = None,
    ) -> Reply:
        """One exchange of messages. docs/specs/account-api.md lists paths and messages.

        What is no message there goes as octets.
        """
        status, octets = self._exchange(method, path, body, login)
        try:
            if status >= FAILED:
                raise Offline(f"The server at {self.server.url} cannot answer now ({status}).")
            if status >= 400:
                refusal = Refusal.decode(octets, strict=False)
                raise Refused(refusal.error, f"The server refused: {refusal.message}")
            return reply.decode(octets, strict=False)
        except FormInvalid as fault:
            raise self._bad(f"gave an answer that makes no sense ({status}, {fault})") from None

    def info(self) -> messages.ServerInfo:
        found = self.call("GET", "/v1/server", messages.ServerInfo)
        if found.name.lower() != self.server.name:
            raise BadServer(
                f"The server calls itself {found.name}, not {self.server.name}; "
                "give the name you mean with --server-name."
            )
        if found.api != messages.API_VERSION:
            raise self._bad(f"speaks version {found.api} of the account API")
        return found

    def _bad(self, what: str) -> BadServer:
        return BadServer(f"The server at {self.server.url} {what}.")

    def _exchange(
        self, method: str, path: str, body: Form | bytes | None, login: Login | None
    ) -> tuple[int, bytes]:
        kept, self._kept = self._kept, None
        connection = kept or _Connection(self.server)
        sent = body.encode() if isinstance(body, Form) else body
        seconds = EXCHANGE_SECONDS + len(sent or b"") / OCTETS_A_SECOND
        guard = threading.Timer(seconds, connection.abort)
        guard.daemon = True
        guard.start()
        try:
            headers = {"Accept": "application/json"}
            if body is not None:
                kind = "json" if isinstance(body, Form) else "octet-stream"
                headers["Content-Type"] = f"application/{kind}"
            if login is not None:
                headers["Authorization"] = login.header
            try:
                connection.request(method, path, sent, headers)
                response = connection.getresponse()
            except _ENDED:
                if kept is None or guard.finished.is_set():
                    raise
                return self._exchange(method, path, body, login)
            found = self._read(response)
            # without a socket the server said that this was the last one
            self._kept = connection if self._keeps and connection.sock is not None else None
            return found
        except ssl.SSLCertVerificationError as fault:
            raise self._bad(
                f"is not trusted: {fault.verify_message}; "
                "for a certificate authority of your own give --ca FILE"
            ) from fault
        except ssl.SSLError as fault:
            raise self._bad(f"does not speak TLS as it should ({fault.reason})") from fault
        except (OSError, IncompleteRead) as fault:
            cause = fault.strerror if isinstance(fault, OSError) else None
            raise Offline(
                f"The server at {self.server.url} was not reached: {cause or 'no answer'}."
            ) from fault
        except HTTPException as fault:
            raise self._bad("does not speak HTTP as it should") from fault
        finally:
            guard.cancel()
            if connection is not self._kept:
                connection.close()

    def _read(self, response: HTTPResponse) -> tuple[int, bytes]:
        octets = response.read(REPLY_CAP + 1)
        if len(octets) > REPLY_CAP:
            raise self._bad("answers with more than it may")
        if response.length:
            # read() with a size does not say by itself that the end is missing
            raise IncompleteRead(octets, response.length)
        if response.status not in range(200, 300) and response.status < 400:
            raise self._bad(f"answers with status {response.status}")
        return response.status, octets


class _Connection(HTTPSConnection):
    """Dials one host and expects the certificate of another name."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.host, server.port, timeout=STEP_SECONDS)
        self._server = server

    def connect(self) -> None:
        # with a CA of its own the machine's list of authorities is not consulted at all
        context = tls_context(self._server)
        raw = socket.create_connection((self.host, self.port), STEP_SECONDS)
        # head and body are sent one after the other: the second must not wait for an ACK
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = context.wrap_socket(raw, server_hostname=self._server.name)
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
