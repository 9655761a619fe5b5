"""The server's half of TLS over memory, for the driver.

asyncio's own TLS transport keeps a 256 KiB buffer for each connection; an idle one here
costs what OpenSSL needs, and STARTTLS and implicit TLS are the same thing.
"""

from __future__ import annotations

import ssl

_RECORD = 16 * 1024  # no TLS record holds more


class TlsError(Exception):
    """The peer's TLS is broken; what outgoing() holds (an alert) may still be sent."""


class Tls:
    """receive() octets of the wire, get octets of the application; send() the other way."""

    __slots__ = ("_incoming", "_object", "_outgoing", "ended", "ready")

    def __init__(self, context: ssl.SSLContext):
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.ready = False  # the handshake is done
        self.ended = False  # the peer said that it sends no more

    def receive(self, data: bytes) -> bytes:
        """What the peer said with these octets; TlsError."""
        self._incoming.write(data)
        try:
            if not self.ready:
                self._object.do_handshake()
                self.ready = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise TlsError(error.reason or "TLS failed") from error

    def _read(self) -> bytes:
        pieces = []
        try:
            while piece := self._object.read(_RECORD):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(pieces)

    def send(self, data: bytes) -> None:
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            raise TlsError(error.reason or "TLS failed") from error

    def finish(self) -> None:
        """Say that nothing more comes (close_notify), without waiting for the peer's."""
        if not self.ready:
            return
        try:
            self._object.unwrap()
        except (ssl.SSLError, ValueError):
            return  # the usual: the peer has not answered, and need not

    def outgoing(self) -> bytes:
        """Octets for the wire."""
        return self._outgoing.read()
