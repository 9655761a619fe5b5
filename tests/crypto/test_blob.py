"""Blobs: sizes around chunks, flips, and chunks cut, doubled, exchanged."""

import os
import tracemalloc
from collections.abc import Iterator

import pytest

from e2email_crypto import _sodium, blob, errors

KEY, AAD = b"k" * 32, b"queue 17"
HEAD = 34
FRAME = blob.CHUNK + 17


def seal(plaintext: bytes) -> bytes:
    return b"".join(blob.seal_chunks(KEY, AAD, [plaintext]))


def opened(box: bytes, key: bytes = KEY, aad: bytes = AAD) -> bytes:
    return b"".join(blob.open_chunks(key, aad, [box]))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def refuse(box: bytes, **other: bytes) -> None:
    with pytest.raises(errors.Damaged):
        opened(box, **other)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131071, 131072, 131073, 500_000])
def test_there_and_back(size: int) -> None:
    plaintext = os.urandom(size)
    box = seal(plaintext)
    assert len(box) == HEAD + size + 17 * max(1, -(-size // blob.CHUNK))
    assert opened(box) == plaintext
    for cut in (7, 4096, 65536, 65553, 65554):
        if size > 1000 or cut < 100:
            assert b"".join(blob.open_chunks(KEY, AAD, pieces(box, max(cut, 97)))) == plaintext
            again = b"".join(blob.seal_chunks(KEY, AAD, pieces(plaintext, max(cut, 97))))
            assert opened(again) == plaintext


def test_every_flipped_octet_of_a_small_blob_is_refused() -> None:
    box = seal(b"a mail of some length")
    for at in range(len(box)):
        bent = box[:at] + bytes([box[at] ^ 1]) + box[at + 1 :]
        with pytest.raises(errors.UnknownVersion if at == 9 else errors.Damaged):
            opened(bent)


def test_every_cut_is_refused() -> None:
    box = seal(b"a mail of some length")
    for end in range(len(box)):
        refuse(box[:end])


BOX = seal(bytes(2 * blob.CHUNK) + b"end")
FIRST, SECOND, LAST = BOX[HEAD : HEAD + FRAME], BOX[HEAD + FRAME : HEAD + 2 * FRAME], BOX[-20:]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([FIRST, SECOND], id="final-missing"),
        pytest.param([FIRST, LAST], id="one-missing"),
        pytest.param([SECOND, FIRST, LAST], id="exchanged"),
        pytest.param([FIRST, FIRST, SECOND, LAST], id="doubled"),
        pytest.param([FIRST, SECOND, LAST, LAST], id="two-finals"),
        pytest.param([FIRST, SECOND, LAST, b"\0"], id="octet-behind"),
        pytest.param([LAST], id="only-final"),
        pytest.param([], id="nothing"),
        pytest.param([FIRST[:-1], SECOND, LAST], id="octet-missing"),
    ],
)
def test_frames_out_of_place(frames: list[bytes]) -> None:
    assert opened(BOX[:HEAD] + FIRST + SECOND + LAST) == bytes(2 * blob.CHUNK) + b"end"
    refuse(BOX[:HEAD] + b"".join(frames))


def test_a_final_chunk_of_another_blob() -> None:
    refuse(BOX[:-20] + seal(bytes(2 * blob.CHUNK) + b"end")[-20:])


def made(*chunks: tuple[bytes, int]) -> bytes:
    """A blob with frames that `seal_chunks` would not write."""
    header, push = _sodium.stream_sealer(KEY)
    ad = blob._wire.pack(blob._HEAD, AAD)
    return blob._HEAD + header + b"".join(push(text, ad, tag) for text, tag in chunks)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([(b"short", 0), (b"end", 3)], id="short-chunk-not-final"),
        pytest.param([(bytes(blob.CHUNK), 0), (b"", 3)], id="empty-final"),
        pytest.param([(bytes(blob.CHUNK), 1), (b"end", 3)], id="push-tag"),
        pytest.param([(bytes(blob.CHUNK), 2), (b"end", 3)], id="rekey-tag"),
        pytest.param([(bytes(blob.CHUNK), 3), (b"end", 3)], id="final-twice"),
        pytest.param([(bytes(blob.CHUNK + 1), 3)], id="chunk-too-long"),
    ],
)
def test_one_spelling_for_every_content(chunks: list[tuple[bytes, int]]) -> None:
    assert opened(made((bytes(blob.CHUNK), 0), (b"end", 3))) == bytes(blob.CHUNK) + b"end"
    refuse(made(*chunks))


def test_key_and_aad_belong_to_the_box() -> None:
    refuse(BOX, key=b"x" * 32)
    refuse(BOX, aad=b"queue 18")
    with pytest.raises(ValueError, match="32 bytes"):
        opened(BOX, key=b"short")


def test_nothing_is_given_out_before_its_tag() -> None:
    bent = BOX[: HEAD + FRAME + 9] + bytes([BOX[HEAD + FRAME + 9] ^ 1]) + BOX[HEAD + FRAME + 10 :]
    got = []
    with pytest.raises(errors.Damaged):
        got.extend(blob.open_chunks(KEY, AAD, [bent]))
    stream = blob.open_chunks(KEY, AAD, [bent])
    assert next(stream) == bytes(blob.CHUNK)
    with pytest.raises(errors.Damaged):
        next(stream)


def test_fifty_megabytes_pass_through_in_little_memory() -> None:
    plaintext = bytes(50 << 20)
    tracemalloc.start()
    try:
        total = sum(map(len, blob.open_chunks(KEY, AAD, blob.seal_chunks(KEY, AAD, [plaintext]))))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 50 << 20
    assert peak < 2 << 20
