"""A box for large content on one's own disk: the server's queue, the client's chunk files.

libsodium's secretstream in chunks of 64 KiB; docs/specs/keys.md, "Blob". Nothing is given out
before its tag, and who acts on content (index it, send it) waits for the end of the stream:
only there is it known to be whole.
"""

from collections.abc import Iterable, Iterator

from . import _sodium, _wire
from .errors import Damaged, UnknownVersion

VERSION = 1
KEY_SIZE = 32
CHUNK = 64 * 1024  # large enough that 17 octets a chunk are nothing, small enough to hold many
_HEAD = _wire.head(b"B", VERSION)
_HEAD_SIZE = len(_HEAD) + _sodium.STREAM_HEADER_SIZE
_FRAME = CHUNK + _sodium.STREAM_FRAME_EXTRA


def seal_chunks(key: bytes, aad: bytes, plaintext: Iterable[bytes]) -> Iterator[bytes]:
    """The box in pieces. `plaintext` comes in pieces of any size, `aad` says what it belongs to."""
    _check_key(key)
    header, push = _sodium.stream_sealer(key)
    ad = _ad(aad)
    yield _HEAD + header
    last = b""
    started = False
    for piece in _cut(plaintext, CHUNK):
        if started:
            yield push(last, ad, _sodium.STREAM_MESSAGE)
        last, started = piece, True
    yield push(last, ad, _sodium.STREAM_FINAL)


def open_chunks(key: bytes, aad: bytes, box: Iterable[bytes]) -> Iterator[bytes]:
    """The plaintext in verified chunks. Raises Damaged (also for a wrong key or aad, and at the
    end when the box was cut at a chunk's border), UnknownVersion.
    """
    _check_key(key)
    ad = _ad(aad)
    pieces = iter(box)
    header, rest = _take_header(pieces)
    pull = _sodium.stream_opener(key, header)
    final = False
    for index, frame in enumerate(_cut(_chain(rest, pieces), _FRAME)):
        if final:
            raise Damaged("octets behind the final chunk")
        if len(frame) < _sodium.STREAM_FRAME_EXTRA:
            raise Damaged("cut short")
        chunk, tag = pull(frame, ad)
        final = tag == _sodium.STREAM_FINAL
        if not final and (tag != _sodium.STREAM_MESSAGE or len(chunk) != CHUNK):
            raise Damaged("a chunk that is neither whole nor final")
        if index and not chunk:
            # one spelling for every content: only an empty blob ends in an empty chunk
            raise Damaged("an empty final chunk")
        yield chunk
    if not final:
        raise Damaged("the final chunk is missing")


def _check_key(key: bytes) -> None:
    if len(key) != KEY_SIZE:
        raise ValueError(f"a blob key has {KEY_SIZE} bytes")


def _ad(aad: bytes) -> bytes:
    return _wire.pack(_HEAD, aad)


def _take_header(pieces: Iterator[bytes]) -> tuple[bytes, bytes]:
    """(the stream's header, what came in the same piece behind it)"""
    start = b""
    while len(start) < _HEAD_SIZE:
        piece = next(pieces, None)
        if piece is None:
            raise Damaged("cut short")
        start += piece
    if not start.startswith(_HEAD[:-1]):
        raise Damaged("not a blob")
    if start[len(_HEAD) - 1] != VERSION:
        raise UnknownVersion(f"blob version {start[len(_HEAD) - 1]}")
    return start[len(_HEAD) : _HEAD_SIZE], start[_HEAD_SIZE:]


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same octets in pieces of `size`, the last one shorter; none of nothing.

    Views, because slicing a 50 MB piece front to back would copy it once per chunk.
    """
    pending = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while view:
            count = size - len(pending)
            pending += view[:count]
            view = view[count:]
            if len(pending) == size:
                yield bytes(pending)
                pending.clear()
    if pending:
        yield bytes(pending)
