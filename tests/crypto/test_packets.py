"""The outer grammar: exactly PKESK+ then one SEIPD, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_crypto import packets
from e2email_crypto.errors import BadMessage, TooLarge
from support.forge import packet, person

ID = bytes.fromhex("0123456789ABCDEF")
PKESK3 = packet(1, b"\3" + ID + b"\x12" + bytes(40))
PKESK6 = packet(1, b"\6\x21\6" + ID + bytes(24) + b"\x19" + bytes(40))
PKESK6_V4 = packet(1, b"\6\x15\4" + bytes(12) + ID + b"\x19" + bytes(40))
HIDDEN3 = packet(1, b"\3" + bytes(8) + b"\x12" + bytes(40))
HIDDEN6 = packet(1, b"\6\0\x19" + bytes(40))
DATA1 = packet(18, b"\1" + bytes(100))
DATA2 = packet(18, b"\2\x09\2\6" + bytes(100))


@pytest.mark.parametrize(
    ("message", "ids"),
    [
        (PKESK3 + DATA1, {ID}),
        (PKESK6 + DATA2, {ID}),
        (PKESK6_V4 + DATA2, {ID}),
        (HIDDEN3 + DATA1, {bytes(8)}),
        (HIDDEN6 + DATA2, {bytes(8)}),
        (PKESK3 + HIDDEN3 + DATA1, {ID, bytes(8)}),
        (PKESK3 + PKESK3 + DATA1, {ID, bytes(8)}),
        (PKESK3 * 64 + DATA1, {ID, bytes(8)}),
    ],
)
def test_key_ids(message: bytes, ids: set[bytes]) -> None:
    assert packets.message_key_ids(message) == {i.hex().upper() for i in ids}


REFUSED = {
    "empty": b"",
    "text": b"-----BEGIN PGP MESSAGE-----\n",
    "literal": packet(11, b"b\0" + bytes(4) + b"clear"),
    "compressed": packet(8, b"\1" + bytes(20)),
    "no session": DATA1,
    "no data": PKESK3,
    "data before session": DATA1 + PKESK3,
    "two data packets": PKESK3 + DATA1 + DATA1,
    "octet after": PKESK3 + DATA1 + b"\0",
    "packet after": PKESK3 + DATA1 + packet(10, b"PGP"),
    "marker before": packet(10, b"PGP") + PKESK3 + DATA1,
    "marker between": PKESK3 + packet(10, b"PGP") + DATA1,
    "padding between": PKESK6 + packet(21, b"x") + DATA2,
    "literal before": packet(11, b"b\0" + bytes(4) + b"clear") + PKESK3 + DATA1,
    "password": packet(3, b"\4\x09\3\x08" + bytes(9)) + DATA1,
    "key and password": PKESK3 + packet(3, b"\4\x09\3\x08" + bytes(9)) + DATA1,
    "no integrity protection": PKESK3 + packet(9, bytes(100)),
    "GnuPG's own AEAD": PKESK3 + packet(20, bytes(100)),
    "65 sessions": PKESK3 * 65 + DATA1,
    "huge session": packet(1, b"\3" + ID + b"\x01" + bytes(4096)) + DATA1,
    "session of version 2": packet(1, b"\2" + ID + b"\x12" + bytes(40)) + DATA1,
    "session cut": packet(1, b"\3" + ID) + DATA1,
    "fingerprint of wrong size": packet(1, b"\6\x15\6" + bytes(60)) + DATA2,
    "session 3 with data 2": PKESK3 + DATA2,
    "session 6 with data 1": PKESK6 + DATA1,
    "mixed sessions": PKESK3 + PKESK6 + DATA1,
    "data of version 3": PKESK3 + packet(18, b"\3" + bytes(100)),
    "data too short 1": PKESK3 + packet(18, b"\1" + bytes(47)),
    "data too short 2": PKESK6 + packet(18, b"\2\x09\2\6" + bytes(60)),
    "data empty": PKESK3 + packet(18, b""),
    "chunk size 17": PKESK6 + packet(18, b"\2\x09\2\x11" + bytes(100)),
    "data longer than said": PKESK3 + DATA1[:-1],
    "huge length": PKESK3 + b"\xd2\xff\xff\xff\xff\xff\1",
    "partial session": b"\xc1\xe9" + bytes(512) + b"\x05" + bytes(5) + DATA1,
    "old form without end": b"\x87" + bytes(100),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(BadMessage):
        packets.message_key_ids(REFUSED[name])


def test_every_truncation_is_refused() -> None:
    for message in (PKESK3 + HIDDEN3 + DATA1, PKESK6 + DATA2):
        for end in range(len(message)):
            with pytest.raises(BadMessage):
                packets.message_key_ids(message[:end])


@pytest.mark.parametrize("length", [b"\x64", b"\xff\0\0\0\x64"])
def test_length_forms_of_the_data_packet(length: bytes) -> None:
    body = b"\1" + bytes(99)
    assert packets.message_key_ids(PKESK3 + b"\xd2" + length + body)
    with pytest.raises(BadMessage):
        packets.message_key_ids(PKESK3 + b"\xd2" + length + body + b"\0")


def test_two_octet_length() -> None:
    body = b"\1" + bytes(999)
    size = len(body) - 192
    assert packets.message_key_ids(PKESK3 + bytes([0xD2, 192 + (size >> 8), size & 0xFF]) + body)


@pytest.mark.parametrize("width", [0, 1, 2])
def test_old_headers_of_a_session(width: int) -> None:
    body = b"\3" + ID + b"\x12" + bytes(40)
    old = bytes([0x84 | width]) + len(body).to_bytes(1 << width) + body
    assert packets.message_key_ids(old + DATA1) == {ID.hex().upper()}


def partial(parts: list[tuple[int, bytes]], last: bytes) -> bytes:
    made = b"".join(bytes([0xE0 | power]) + data for power, data in parts)
    return b"\xd2" + made + bytes([len(last)]) + last


def test_partial_lengths() -> None:
    first = b"\1" + bytes(511)
    for message in (
        partial([(9, first)], b"end"),
        partial([(9, first), (10, bytes(1024))], b""),
    ):
        assert packets.message_key_ids(PKESK3 + message)
        for end in range(1, len(message)):
            with pytest.raises(BadMessage):
                packets.message_key_ids(PKESK3 + message[:end])
        with pytest.raises(BadMessage):
            packets.message_key_ids(PKESK3 + message + b"\0")


def test_partial_lengths_below_512_are_refused() -> None:
    for parts in ([(8, bytes(256))], [(9, b"\1" + bytes(511)), (0, b"\0")]):
        with pytest.raises(BadMessage):
            packets.message_key_ids(PKESK3 + partial(parts, b"end"))


def test_split_counts_and_cuts() -> None:
    data = packet(13, b"one") + packet(13, b"two")
    assert [p.body for p in packets.split(data, 2)] == [b"one", b"two"]
    assert b"".join(p.raw for p in packets.split(data, 2)) == data
    with pytest.raises(TooLarge):
        packets.split(data, 1)
    for end in set(range(1, len(data))) - {len(data) // 2}:
        with pytest.raises(BadMessage):
            packets.split(data[:end], 9)


def test_key_facts_agree_with_the_forge() -> None:
    key = person().primary
    facts = packets.key_facts(key.body)
    assert (facts.fingerprint, facts.key_id) == (key.fingerprint, key.key_id)
    assert (facts.created, facts.algorithm, facts.bits) == (key.created, 22, 0)


@given(
    st.sampled_from(
        [PKESK3 + DATA1, PKESK6 + HIDDEN6 + DATA2, PKESK3 + partial([(9, b"\1" * 512)], b"x")]
    ),
    st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=8)), max_size=4),
)
def test_damage_gives_key_ids_or_bad_message(
    message: bytes, damage: list[tuple[int, bytes]]
) -> None:
    for at, octets in damage:
        message = message[:at] + octets + message[at + len(octets) :]
    try:
        shape = packets.parse_message(message)
    except BadMessage:
        return
    assert shape.sessions
    assert all(s.key_id == "" or len(s.key_id) == 16 for s in shape.sessions)
    assert shape.sessions[-1].end == shape.data < len(message)


@given(st.binary(max_size=200))
def test_any_octets_split_or_are_refused(octets: bytes) -> None:
    try:
        found = packets.split(octets, 10)
    except (BadMessage, TooLarge):
        return
    assert b"".join(p.raw for p in found) == octets
