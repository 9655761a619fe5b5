"""Armor: sizes are arithmetic, any slice equals the slice of the whole, reading is strict."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_crypto.armor import armor, armored_size, armored_slice, crc24, dearmor
from e2email_crypto.errors import BadArmor, TooLarge
from support import gpg


def plain_crc24(data: bytes) -> int:
    """RFC 9580, 6.1.1, word for word."""
    crc = 0xB704CE
    for octet in data:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc


@pytest.mark.parametrize("size", [0, 1, 2, 3, 47, 48, 49, 1000, 5000])
def test_crc24_is_the_rfcs(size: int) -> None:
    data = os.urandom(size)
    assert crc24(data) == plain_crc24(data)


def test_crc24_does_not_depend_on_what_the_octets_are() -> None:
    """The library must not take a version 6 message for a reason to leave it out."""
    for data in (b"\xc1\x6d\x06" + bytes(300), b"\xd2\x05\x02" + bytes(50), b"\n=", b"=\n" * 50):
        assert crc24(data) == plain_crc24(data)


@pytest.mark.parametrize("kind", [b"MESSAGE", b"PUBLIC KEY BLOCK", b"SIGNATURE"])
def test_round_trip_size_and_shape(kind: bytes) -> None:
    for size in range(1, 300):
        data = os.urandom(size)
        text = armor(data, kind)
        assert len(text) == armored_size(size, kind)
        assert dearmor(text, kind, size) == data
        lines = text.split(b"\r\n")
        assert b"\n" not in b"".join(lines)
        assert lines[0] == b"-----BEGIN PGP " + kind + b"-----"
        assert lines[1] == lines[-1] == b""
        assert lines[-3] == b"=" + base64.b64encode(crc24(data).to_bytes(3))
        assert all(len(line) == 64 for line in lines[2:-4])


@pytest.mark.parametrize("size", [0, 1, 47, 48, 49, 96, 200])
def test_every_slice_is_the_slice_of_the_whole(size: int) -> None:
    data = os.urandom(size)
    text, crc = armor(data), crc24(data)
    for start in range(len(text) + 2):
        for count in (0, 1, 2, 63, 64, 66, 67, 1000):
            made = armored_slice(lambda a, n: data[a : a + n], size, crc, start, count)
            assert made == text[start : start + count]


def test_a_slice_reads_only_the_lines_it_touches() -> None:
    data, asked = os.urandom(100_000), []

    def read(start: int, count: int) -> bytes:
        asked.append((start, count))
        return data[start : start + count]

    armored_slice(read, len(data), 0, 66_000, 66)
    assert len(asked) == 1
    assert asked[0][1] <= 2 * 48


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace(b"\r\n", b"\n"),
        lambda t: b"\r\n \r\n" + t + b"\n\n",
        lambda t: t.replace(b"\r\n\r\n", b"\r\nVersion: x\r\nComment: y: z\r\n \t\r\n", 1),
        lambda t: b"\r\n".join(line for line in t.split(b"\r\n") if not line.startswith(b"=")),
    ],
)
def test_forms_that_are_read(change) -> None:
    data = os.urandom(200)
    assert dearmor(change(armor(data)), b"MESSAGE", 1000) == data


def test_a_wrong_crc_is_no_reason_to_refuse() -> None:
    data = os.urandom(200)
    assert dearmor(armor(data, crc=crc24(data) ^ 1), b"MESSAGE", 1000) == data


BLOCK = armor(b"some octets that are armored here")
REFUSED = {
    "nothing": b"",
    "another kind": BLOCK.replace(b"MESSAGE", b"SIGNATURE"),
    "text before": b"hello\r\n" + BLOCK,
    "text after": BLOCK + b"hello\r\n",
    "two blocks": BLOCK + BLOCK,
    "no end": BLOCK[: BLOCK.index(b"-----END")],
    "no begin": BLOCK[BLOCK.index(b"\r\n\r\n") :],
    "no blank line": BLOCK.replace(b"\r\n\r\n", b"\r\n", 1),
    "a foreign character": BLOCK.replace(b"c29t", b"c2\x009t"),
    "a dash inside": BLOCK.replace(b"c29t", b"c2-t"),
    "11 header lines": BLOCK.replace(b"\r\n\r\n", b"\r\n" + b"A: b\r\n" * 11 + b"\r\n", 1),
    "a long header line": BLOCK.replace(b"\r\n\r\n", b"\r\nA: " + b"b" * 600 + b"\r\n\r\n", 1),
    "a header line without a colon": BLOCK.replace(b"\r\n\r\n", b"\r\nword\r\n\r\n", 1),
    "end not on its own line": BLOCK.replace(b"\r\n-----END", b"-----END"),
    "empty": armor(b""),
    "bad padding": BLOCK.replace(b"\r\n=", b"=\r\n="),
    "begin and end in one line": b"-----BEGIN PGP MESSAGE----------END PGP MESSAGE-----",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(BadArmor):
        dearmor(REFUSED[name], b"MESSAGE", 1000)


@given(
    st.lists(st.tuples(st.integers(0, 140), st.integers(0, 3), st.binary(max_size=4)), max_size=3)
)
def test_damage_gives_octets_or_a_refusal(damage: list[tuple[int, int, bytes]]) -> None:
    text = BLOCK
    for at, gone, octets in damage:
        text = text[:at] + octets + text[at + gone :]
    try:
        assert len(dearmor(text, b"MESSAGE", 100)) <= 100
    except (BadArmor, TooLarge):
        return


def test_a_size_above_the_limit() -> None:
    text = armor(os.urandom(1001))
    assert dearmor(text, b"MESSAGE", 1001)
    for limit in (1000, 100):
        with pytest.raises(TooLarge):
            dearmor(text, b"MESSAGE", limit)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_gpg_reads_it_without_complaint(size: int) -> None:
    with gpg.keyring() as keyring:
        octets = b"\xcb\xff" + (size + 6).to_bytes(4) + b"b\0" + bytes(4) + b"x" * size
        assert keyring.ok("--decrypt", stdin=armor(octets)) == b"x" * size
