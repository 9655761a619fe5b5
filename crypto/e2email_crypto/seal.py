"""Sealing: a binary OpenPGP message to recipients that passed the gate, and to nobody else."""

from collections.abc import Sequence

from . import _sequoia, packets
from .errors import BadMessage, SealFailed
from .gate import Recipient


def seal(plaintext: bytes, recipients: Sequence[Recipient]) -> bytes:
    """Encrypt `plaintext` to every key of every recipient; binary, never compressed, unsigned.

    What came out is read again: it must be PKESK+ SEIPD and name exactly the recipients' keys.
    Raises SealFailed; then there is no output at all. The caller re-gates recipients whose
    `good_until` has passed. 0.1 ms for 4 KiB; above 64 KiB call it in a worker process, since
    pysequoia holds the GIL.
    """
    wanted = frozenset[str]().union(*(r.key_ids for r in recipients))
    if not wanted:
        raise SealFailed("no recipient")
    try:
        message = _sequoia.encrypt(plaintext, [r.reduced for r in recipients])
        named = packets.parse_message(message)
    except (_sequoia.LibraryRefused, BadMessage):
        raise SealFailed("the message could not be sealed") from None
    if named.key_ids != wanted:
        raise SealFailed("the sealed message names other keys than asked")
    return message
