"""The child process that opens messages: the only place where a secret key meets foreign octets.

Started by `open.OpenWorker`, never imported for use elsewhere. It reads its keys and then requests
from standard input and writes answers to standard output; frames are below. Whatever happens to it
(memory limit, abort in the library, alarm) is one failed message for the parent.
"""

import os
import resource
import signal
import struct
import sys
from typing import BinaryIO

from . import _rpgp, packets
from .errors import BadMessage

LENGTH = struct.Struct("!I")
# octets of the message, most octets of plaintext, seconds allowed, unix time, certificates
REQUEST = struct.Struct("!IIIQI")
# status, number of key ids, index of the one that opened it or NO_KEY, plaintext, signatures
ANSWER = struct.Struct("!BBBII")
OPENED, REFUSED = 0, 1
NO_KEY = 255
# A signed mail carries one signature, a signed and countersigned one two.
MAX_SIGNATURES = 16

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def main(memory: int) -> None:
    """Serve until standard input ends. `memory`: octets of address space this process may have."""
    requests, answers = _take_pipes()
    _harden(memory)
    keys = _read_keys(requests)
    _send(answers, LENGTH.pack(len(keys)))
    while header := requests.read(REQUEST.size):
        size, most, seconds, now, certs = REQUEST.unpack(header)
        message = requests.read(size)
        known = [_read_sized(requests) for _ in range(certs)]
        # ends this process even if the parent is gone or stopped
        signal.alarm(seconds)
        _send(answers, *_answer(keys, message, most, known, now))
        signal.alarm(0)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes under numbers of their own, so that nothing a library prints goes into them."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _harden(memory: int) -> None:
    """No core dump, no reading by other processes of this user, no more memory than allowed."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        if ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise SystemExit("cannot become undumpable")
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    else:
        # macOS refuses RLIMIT_AS below what is mapped already; the deadline is what remains there
        try:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        except (ValueError, OSError):
            return


def _read_keys(requests: BinaryIO) -> list[_rpgp.SecretKey]:
    """The keys, or none at all if one of them cannot be read: the parent sees the count."""
    (count,) = LENGTH.unpack(requests.read(LENGTH.size))
    blobs = [_read_sized(requests) for _ in range(count)]
    try:
        return [_rpgp.SecretKey(blob) for blob in blobs]
    except _rpgp.LibraryRefused:
        return []


def _read_sized(source: BinaryIO) -> bytes:
    (size,) = LENGTH.unpack(source.read(LENGTH.size))
    return source.read(size)


def _send(answers: BinaryIO, *parts: bytes) -> None:
    for part in parts:
        answers.write(part)
    answers.flush()


def _answer(
    keys: list[_rpgp.SecretKey], message: bytes, most: int, certs: list[bytes], now: int
) -> tuple[bytes, ...]:
    """One answer frame. Every refusal is the same octets; a failed message gives no plaintext."""
    refused = (ANSWER.pack(REFUSED, 0, NO_KEY, 0, 0),)
    try:
        shape = packets.parse_message(message)
    except BadMessage:
        return refused
    opened = _open(keys, message, shape)
    if opened is None or len(opened[1]) > most or len(opened[2]) > MAX_SIGNATURES:
        return refused
    session, plaintext, signatures = opened
    ids = sorted(shape.key_ids)
    index = ids.index(session.key_id) if session.key_id else NO_KEY
    verdicts = _verdicts(plaintext, signatures, certs, now)
    head = ANSWER.pack(OPENED, len(ids), index, len(plaintext), len(verdicts))
    return head, bytes.fromhex("".join(ids)), plaintext, verdicts


def _open(
    keys: list[_rpgp.SecretKey], message: bytes, shape: packets.EncryptedMessage
) -> tuple[packets.Session, bytes, list[bytes]] | None:
    """Try each PKESK that names a key of ours, or hides whose it is, one at a time.

    The library is handed one PKESK only: so the key that opened the message is known, and a bogus
    PKESK with our id cannot keep a good one behind it from being tried.
    """
    for session in shape.sessions:
        for key in keys:
            if session.key_id and session.key_id not in key.key_ids:
                continue
            try:
                return session, *key.decrypt(_only(message, shape, session))
            except _rpgp.LibraryRefused:
                continue
    return None


def _only(message: bytes, shape: packets.EncryptedMessage, session: packets.Session) -> bytes:
    if len(shape.sessions) == 1:
        return message
    return message[session.start : session.end] + message[shape.data :]


def _verdicts(plaintext: bytes, signatures: list[bytes], certs: list[bytes], now: int) -> bytes:
    """JSON list of [state, fingerprint, key hint, created], empty octets without signatures."""
    if not signatures:
        return b""
    import json

    from .verify import verify_detached  # pysequoia is loaded for signed messages only

    found = (verify_detached(plaintext, s, certs, now) for s in signatures)
    return json.dumps([[v.state, v.fingerprint, v.key_hint, v.created] for v in found]).encode()
