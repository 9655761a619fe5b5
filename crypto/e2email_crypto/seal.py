"""Sealing: a binary OpenPGP message to recipients that passed the gate, and to nobody else."""

from collections.abc import Sequence
from functools import lru_cache

from . import _rpgp, _sequoia, keytree, packets
from .cert import MAX_CERT_PACKETS
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
        message = _encrypt(plaintext, recipients)
        named = packets.parse_message(message)
    except (_sequoia.LibraryRefused, _rpgp.LibraryRefused, BadMessage):
        raise SealFailed("the message could not be sealed") from None
    if named.key_ids != wanted:
        raise SealFailed("the sealed message names other keys than asked")
    return message


def _encrypt(plaintext: bytes, recipients: Sequence[Recipient]) -> bytes:
    reduced = [r.reduced for r in recipients]
    if any(map(_is_silent, reduced)):
        return _rpgp.encrypt_v1(plaintext, reduced)
    return _sequoia.encrypt(plaintext, reduced)


@lru_cache(maxsize=_sequoia.PARSED_CERTS)
def _is_silent(reduced: bytes) -> bool:
    """Whether a version 4 certificate does not say which containers it reads.

    pysequoia then makes a SEIPD version 2, which Thunderbird, whose keys are so, does not read.
    """
    primary, *rest = keytree.parts(packets.split(reduced, MAX_CERT_PACKETS))
    told = (
        claims.first(keytree.FEATURES)
        for part in (primary, *rest)
        if not part.is_subkey
        for _, claims in keytree.own(primary.packet, part)
    )
    return primary.packet.body[0] == 4 and all(features is None for features in told)
