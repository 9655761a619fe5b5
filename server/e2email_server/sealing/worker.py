"""The process that seals large mail. Started by `child`, never imported for use elsewhere.

It gets the seed of the server's arrival key first, then job after job; an empty head instead of a
record means that the mail could not be sealed. Whatever happens to it is one failed mail.
"""

import contextlib
import resource
import socket

from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import CryptoError
from e2email_server.hardening import harden

from .frames import Closed, pack_record, receive, send, unpack_job
from .job import run

MEMORY = 1536 * 1024 * 1024  # octets of address space: ten times the largest mail, and libraries


def main() -> None:
    """Serve on standard input, a socket, until the server closes it."""
    harden()
    # macOS refuses it below what is mapped already; the deadline is what remains there
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sock = socket.socket(fileno=0)
    _, seed, _ = receive(sock)
    key = ArrivalKey(seed)
    while True:
        try:
            job = unpack_job(receive(sock))
        except (Closed, OSError):
            return
        try:
            frame = pack_record(run(job, key))
        except CryptoError:
            frame = {}, b"", b""
        send(sock, *frame)
