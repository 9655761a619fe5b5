"""What a server sends costs the client's reader as much as it is long, however it arrives."""

import random
import time

import pytest

from e2email_protocol.imap.response import ResponseReader
from e2email_protocol.imap.response_types import Fetch, ListReply, Tagged, Vanished

MESSAGES = 600


def lines(n: int) -> bytes:
    return b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (i, i) for i in range(1, n + 1))


def bodies(n: int) -> bytes:
    return b"".join(b"* %d FETCH (BODY[] {12}\r\n* 2 EXISTS\r\n)\r\n" % i for i in range(1, n + 1))


def one_list(n: int) -> bytes:
    return b"* 1 FETCH (X (" + b"(a {1}\r\nb) " * n + b"c))\r\n"


def numbers(n: int) -> bytes:
    return b"* SEARCH" + b"".join(b" %d" % i for i in range(1, n + 1)) + b"\r\n"


def ranges(n: int) -> bytes:
    return b"* VANISHED " + b",".join(b"%d" % (2 * i) for i in range(1, n + 1)) + b"\r\n"


def quoted(n: int) -> bytes:
    return b'* LIST () "/" "' + b'\\"* ' * n + b'"\r\n'


def text(n: int) -> bytes:
    return b"* OK " + b"* 1 EXISTS {5} " * n + b"\r\n"


def vanishing(n: int) -> bytes:
    one = b'* 1 FETCH (UID 1)\r\n* VANISHED 2\r\n* LIST () "/" "* 3 EXPUNGE"\r\n'
    return one * n


SHAPES = (lines, bodies, one_list, numbers, ranges, quoted, text, vanishing)


def seconds(octets: bytes, piece: int) -> float:
    """Processor time of the quickest of three."""
    took = []
    for _ in range(3):
        reader = ResponseReader()
        began = time.process_time()
        for at in range(0, len(octets), piece):
            reader.feed(octets[at : at + piece])
            for _ in reader:
                pass
        took.append(time.process_time() - began)
        assert reader.between_responses
    return min(took)


@pytest.mark.parametrize("piece", [1 << 30, 1400, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_as_much_takes_some_four_times_as_long(shape, piece):
    small, large = (seconds(shape(n), piece) for n in (MESSAGES, 4 * MESSAGES))
    assert large < 10 * small  # sixteen times, were it quadratic


def test_vanished_in_the_middle_of_a_fetch_cut_at_every_point():
    octets = vanishing(2) + bodies(2) + quoted(3) + b"a OK * 1 EXISTS {3}\r\n"

    def read(*pieces: bytes) -> list:
        reader = ResponseReader()
        found = []
        for piece in pieces:
            reader.feed(piece)
            found += reader
        return found

    whole = read(octets)
    assert [type(one) for one in whole] == [
        *(Fetch, Vanished, ListReply) * 2,
        *(Fetch, Fetch, ListReply, Tagged),
    ]
    assert whole[2].name == "* 3 EXPUNGE"
    assert whole[6].items[b"BODY[]"] == b"* 2 EXISTS\r\n"
    for place in range(len(octets) + 1):
        assert read(octets[:place], octets[place:]) == whole


def test_100_000_lines_in_one_write_and_in_pieces_are_the_same():
    octets = lines(100_000)
    rng = random.Random(1)
    reader, at, found = ResponseReader(), 0, 0
    while at < len(octets):
        size = rng.randrange(1, 200_000)
        reader.feed(octets[at : at + size])
        at += size
        for one in reader:
            found += 1
            assert one.number == one.uid == found
    assert found == 100_000
