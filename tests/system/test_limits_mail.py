"""Mail beyond every bound of the MIME scanner: accepted, opened, and its octets come back."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from support.ledger import received
from support.system import User, eventually, literal, without_ours

HEAD = b"From: a@example.net\r\nSubject: %s\r\nMIME-Version: 1.0\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def nested(count: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number)
        for number in range(count)
    )


MAILS = {
    "a header above 256 KiB": HEAD % b"header" + b"X: %s\r\n" % (b"y" * 70) * 5_000 + b"\r\nz\r\n",
    "one field above 256 KiB": HEAD % b"field" + b"X: " + b"y\r\n " * 100_000 + b"z\r\n\r\nz\r\n",
    "a header that never ends": HEAD % b"endless" + b"X-Y: z\r\n" * 50_000,
    "more than 10,000 parts": HEAD % b"parts" + MIXED + b"--b\r\n\r\nx\r\n" * 20_000 + b"--b--\r\n",
    "nesting above 100": HEAD % b"nesting" + nested(150) + b"\r\ndeep\r\n",
    "nested messages above 100": (
        HEAD % b"messages" + b"Content-Type: message/rfc822\r\n\r\n" * 150 + b"A: b\r\n"
    ),
    "more than 200,000 boundary-like lines": (
        HEAD % b"boundaries" + MIXED + b"--b\r\n\r\n" + b"--x\r\n" * 250_000
    ),
    "a line of 5 MB": HEAD % b"line" + b"\r\n" + b"x" * 5_000_000 + b"\r\n",
    "no header at all": b"\r\nonly a body\r\n",
    "white space first": b" \tSubject: x\r\n\r\nbody\r\n",
    "bare CR, LF and NUL": HEAD % b"bare" + b"\r\na\rb\nc\0d\r\n..\r\n.\n.\r\n",
}


@dataclass
class Delivered:
    user: User
    octets: list[bytes]


@pytest.fixture(scope="module")
def delivered(house, users, tmp_path_factory) -> Delivered:
    user = users("extremes")
    for mail in MAILS.values():
        house.deliver(mail, user.address)
    return Delivered(user, received(user, tmp_path_factory.mktemp("extremes")))


def test_nothing_more_came(delivered: Delivered) -> None:
    assert len(delivered.octets) == len(MAILS)


@pytest.mark.parametrize("name", MAILS)
def test_its_octets_come_back(delivered: Delivered, name: str) -> None:
    assert delivered.octets.count(MAILS[name]) == 1


def test_the_proxy_serves_them_and_goes_on(delivered: Delivered, tmp_path: Path) -> None:
    """Structure and envelope of each are answered; the octets are the same."""
    with delivered.user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: int(client.select("INBOX")[1][0]) == len(MAILS))
        for number, mail in enumerate(MAILS.values(), 1):
            _, told = client.fetch(str(number), "(ENVELOPE BODYSTRUCTURE RFC822.SIZE)")
            assert told
            _, fetched = client.fetch(str(number), "(BODY.PEEK[])")
            assert without_ours(literal(fetched)) == mail
