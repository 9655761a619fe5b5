"""Jobs and records between the server and its sealing workers: a JSON head, then raw octets.

No pickle: a worker reads what strangers sent, and must not be able to run code in the server by
what it answers.
"""

import base64
import json
import socket
import struct
from typing import Any

from e2email_crypto.gate import Recipient
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.record import Form, Policy, Record

from .job import Job

LENGTHS = struct.Struct("!IQQ")  # octets of the head and of two parts
MAX_HEAD = 4 * 1024 * 1024  # 16 certificates of 64 KiB in base64
MAX_PART = 1024 * 1024 * 1024  # far above any mail; a wrong length must not ask for terabytes

Frame = tuple[dict[str, Any], bytes, bytes]


class Closed(Exception):
    """The other side is gone, or does not speak this language."""


def send(sock: socket.socket, head: dict[str, Any], first: bytes, second: bytes) -> None:
    """Blocks until all is written. Raises OSError."""
    text = json.dumps(head).encode()
    sock.sendall(LENGTHS.pack(len(text), len(first), len(second)) + text)
    sock.sendall(first)
    sock.sendall(second)


def receive(sock: socket.socket) -> Frame:
    """Blocks for a whole frame. Raises Closed, OSError."""
    sizes = LENGTHS.unpack(_exactly(sock, LENGTHS.size))
    if sizes[0] > MAX_HEAD or max(sizes) > MAX_PART:
        raise Closed
    text, first, second = (_exactly(sock, size) for size in sizes)
    head = json.loads(text)
    if not isinstance(head, dict):
        raise Closed
    return head, first, second


def _exactly(sock: socket.socket, size: int) -> bytes:
    octets = sock.recv(size, socket.MSG_WAITALL)
    while len(octets) < size:  # a signal came in between
        more = sock.recv(size - len(octets), socket.MSG_WAITALL)
        if not more:
            raise Closed
        octets += more
    return octets


def pack_job(job: Job) -> Frame:
    arrival = job.arrival
    head = {
        "account": job.account,
        "id": job.record_id.hex(),
        "boundary": job.boundary.decode(),
        "policy": job.policy.value,
        "arrival": [arrival.origin, arrival.tls, arrival.time, arrival.verdicts],
        "keys": [
            [key.fingerprint, sorted(key.key_ids), _text(key.reduced), key.good_until]
            for key in job.keys
        ],
        "known": sorted(job.known_key_ids),
    }
    return head, job.trace, job.received


def unpack_job(frame: Frame) -> Job:
    head, trace, received = frame
    origin, tls, time, verdicts = head["arrival"]
    return Job(
        trace,
        received,
        head["account"],
        bytes.fromhex(head["id"]),
        head["boundary"].encode(),
        Policy(head["policy"]),
        Arrival(origin, tls, time, tuple((name, text) for name, text in verdicts)),
        tuple(
            Recipient(fingerprint, frozenset(ids), base64.b64decode(reduced), good_until)
            for fingerprint, ids, reduced, good_until in head["keys"]
        ),
        frozenset(head["known"]),
    )


def pack_record(record: Record) -> Frame:
    head = {
        "id": record.record_id.hex(),
        "form": record.form.value,
        "version": record.version,
        "policy": record.policy.value,
        "outer": _text(record.outer),
        "boundary": record.boundary.decode(),
        "crc": record.crc,
    }
    return head, record.envelope, record.body


def unpack_record(frame: Frame) -> Record:
    """Raises KeyError, TypeError, ValueError for what pack_record does not make."""
    head, envelope, body = frame
    return Record(
        record_id=bytes.fromhex(head["id"]),
        form=Form(head["form"]),
        version=head["version"],
        policy=Policy(head["policy"]),
        outer=base64.b64decode(head["outer"]),
        boundary=head["boundary"].encode(),
        envelope=envelope,
        crc=head["crc"],
        body_size=len(body),
        body=body,
    )


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
