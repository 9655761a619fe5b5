"""The process that seals large mail. Started by `child`, never imported for use elsewhere.

It gets the seed of the server's arrival key first, then job after job; an empty head instead of a
record means that the mail could not be sealed. Whatever happens to it is one failed mail.
"""

import contextlib
import resource
import select
import socket

from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import CryptoError
from e2email_server.hardening import harden
from e2email_server.heap import give_back, keep_freed

from .frames import Closed, pack_record, receive, send, unpack_job
from .job import run

MEMORY = 1536 * 1024 * 1024  # octets of address space: ten times the largest mail, and libraries
IDLE = 1.0  # seconds without a mail, after which the memory of the last ones is given back


def main() -> None:
    """Serve on standard input, a socket, until the server closes it."""
    harden()
    # macOS refuses it below what is mapped already; the deadline is what remains there
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    keep_freed()
    sock = socket.socket(fileno=0)
    _, seed, _ = receive(sock)
    key = ArrivalKey(seed)
    while _one(sock, key):
        # now, when nothing of that mail is referenced any more
        if not select.select([sock], [], [], IDLE)[0]:
            give_back()


def _one(sock: socket.socket, key: ArrivalKey) -> bool:
    """Seal one mail; False at the end."""
    try:
        job = unpack_job(receive(sock))
    except (Closed, OSError):
        return False
    try:
        frame = pack_record(run(job, key))
    except CryptoError:
        frame = {}, b"", b""
    send(sock, *frame)
    return True
