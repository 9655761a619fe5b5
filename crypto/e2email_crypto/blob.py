"""A box for large content on one's own disk: the server's queue, the client's chunk files.

libsodium's secretstream in chunks of 64 KiB; docs/specs/keys.md, "Blob". Nothing is given out
before its tag, and who acts on content (index it, send it) waits for the end of the stream:
only there is it known to be whole.
"""

from collections.abc import Callable, Iterable, Iterator

from . import _sodium, _wire
from ._pieces import Pieces
from .errors import Damaged, UnknownVersion

VERSION = 1
KEY_SIZE = 32
CHUNK = 64 * 1024  # large enough that 17 octets a chunk are nothing, small enough to hold many
_HEAD = _wire.head(b"B", VERSION)
_HEAD_SIZE = len(_HEAD) + _sodium.STREAM_HEADER_SIZE
_FRAME = CHUNK + _sodium.STREAM_FRAME_EXTRA


def seal_chunks(key: bytes, aad: bytes, plaintext: Iterable[bytes]) -> Iterator[bytes]:
    """The box in pieces. `plaintext` comes in pieces of any size, `aad` says what it belongs to."""
    header, push = _sodium.stream_sealer(_checked(key))
    ad, source = _wire.pack(_HEAD, aad), Pieces(plaintext)
    yield _HEAD + header
    chunk = source.take(CHUNK)
    while following := source.take(CHUNK):
        yield push(chunk, ad, _sodium.STREAM_MESSAGE)
        chunk = following
    yield push(chunk, ad, _sodium.STREAM_FINAL)


def box_size(plaintext: int) -> int:
    """Octets of the box around so many."""
    frames = max(1, -(-plaintext // CHUNK))
    return _HEAD_SIZE + plaintext + frames * _sodium.STREAM_FRAME_EXTRA


def open_chunks(key: bytes, aad: bytes, box: Iterable[bytes]) -> Iterator[bytes]:
    """The plaintext in verified chunks.

    Raises UnknownVersion and Damaged: also for a wrong key or aad, and, after whole chunks were
    given, for a box that was cut at the border of a chunk.
    """
    source = Pieces(box)
    pull = _sodium.stream_opener(_checked(key), _stream_header(source.take(_HEAD_SIZE)))
    ad = _wire.pack(_HEAD, aad)
    first, final = True, False
    while not final:
        chunk, final = _open_frame(source.take(_FRAME), ad, pull)
        if not chunk and not first:
            # one spelling for every content: only an empty blob ends in an empty chunk
            raise Damaged("an empty final chunk")
        first = False
        if final and source.take(1):
            raise Damaged("octets behind the final chunk")
        yield chunk


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_SIZE:
        raise ValueError(f"a blob key has {KEY_SIZE} bytes")
    return key


def _stream_header(start: bytes) -> bytes:
    if len(start) < _HEAD_SIZE:
        raise Damaged("cut short")
    if not start.startswith(_HEAD[:-1]):
        raise Damaged("not a blob")
    if start[len(_HEAD) - 1] != VERSION:
        raise UnknownVersion(f"blob version {start[len(_HEAD) - 1]}")
    return start[len(_HEAD) :]


def _open_frame(
    frame: bytes, ad: bytes, pull: Callable[[bytes, bytes], tuple[bytes, int]]
) -> tuple[bytes, bool]:
    """(plaintext, is it the final chunk)"""
    if len(frame) < _sodium.STREAM_FRAME_EXTRA:
        raise Damaged("cut short")
    chunk, tag = pull(frame, ad)
    if tag == _sodium.STREAM_FINAL:
        return chunk, True
    if tag != _sodium.STREAM_MESSAGE:
        raise Damaged("a chunk of an unknown kind")
    return chunk, False
