"""Reading armor is strict, and lenient where programs differ."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_crypto.armor import dearmor
from e2email_crypto.errors import BadArmor, TooLarge
from support import gpg
from support.sealing import armored as armor


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
    text = armor(data)
    crc = text[text.rindex(b"\n=") + 2 :][:4]
    assert (
        dearmor(text.replace(crc, b"AAAA" if crc != b"AAAA" else b"BBBB"), b"MESSAGE", 1000) == data
    )


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
