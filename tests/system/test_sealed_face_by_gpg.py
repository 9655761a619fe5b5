"""What the sealed face serves opens with gpg alone, and proves itself to a page of script."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from support.gpg import Gpg, keyring
from support.system import Server, User, count, literals

READER = Path(__file__).parents[1] / "reference_reader.py"
MAILS = [
    b"From: Carol <carol@example.net>\r\nSubject: short\r\n\r\nText\r\n",
    b"From: Carol <carol@example.net>\r\nSubject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xb6\xc3\x9fe\r\n",
    # carried whole: the marker names stand there already
    b'Subject: whole\r\nContent-Type: text/plain; hp="clear"\r\n\r\nText\r\n',
    b" begins with a space\r\nSubject: x\r\n\r\nText\r\n",
    b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 60 + b"\r\n" + (b"line\r\n" * 60_000),
]


@pytest.fixture(scope="module", params=["sealed", "baseline"])
def owner(request: pytest.FixtureRequest, house: Server, users) -> User:
    user = users(f"gpg-{request.param}", request.param)
    for mail in MAILS:
        house.deliver(mail, user.address)
    return user


@pytest.fixture(scope="module")
def gpg(owner: User) -> Iterator[Gpg]:
    """A key ring with the owner's secret key."""
    with keyring() as found:
        found.ok("--import", stdin=owner.unlocked().vault.identities[0].tsk)
        yield found


@pytest.fixture(scope="module")
def served(house: Server, owner: User) -> list[bytes]:
    client = house.imap(owner)
    assert count(client) == len(MAILS)
    found = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
    client.logout()
    return found


def read(gpg: Gpg, rendering: bytes, arrival_key: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", READER, arrival_key],
        input=rendering,
        env=os.environ | {"GNUPGHOME": gpg.home},
        capture_output=True,
        check=False,
    )


def test_the_reference_reader_gives_the_octets(owner: User, gpg: Gpg, served: list[bytes]) -> None:
    pinned = owner.unlocked().settings.arrival_key
    for mail, rendering in zip(MAILS, served, strict=True):
        done = read(gpg, rendering, pinned)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(mail)
        assert done.stdout.startswith(b"Return-Path: <carol@example.net>\r\nReceived: from ")


def test_it_refuses_what_another_server_signed(gpg: Gpg, served: list[bytes]) -> None:
    foreign = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"  # RFC 8032 §7.1
    done = read(gpg, served[0], foreign)
    assert (done.returncode != 0, done.stdout) == (True, b"")


def test_gpg_alone_opens_the_second_part(gpg: Gpg, served: list[bytes]) -> None:
    """As any mail program does it that knows RFC 3156."""
    for mail, rendering in zip(MAILS[:2], served, strict=False):
        message = message_from_bytes(rendering, policy=policy.SMTP)
        assert message.get_content_type() == "multipart/encrypted"
        version, encrypted = message.iter_parts()
        assert version.get_content_type() == "application/pgp-encrypted"
        body = gpg.ok("--decrypt", stdin=encrypted.get_payload().encode())
        assert body.endswith(mail.partition(b"\r\n\r\n")[2])
        inside = message_from_bytes(body, policy=policy.SMTP)
        assert inside["Subject"] == message_from_bytes(mail, policy=policy.SMTP)["Subject"]
        assert 'protected-headers="v1"' in inside.as_string()


def test_partial_fetches_make_the_same_octets(
    house: Server, owner: User, served: list[bytes]
) -> None:
    client = house.imap(owner)
    client.select("INBOX", readonly=True)
    whole, step = served[-1], 100_003
    pieces = [
        literals(client.uid("FETCH", "5", f"(BODY.PEEK[]<{at}.{step}>)")[1])[0]
        for at in range(0, len(whole), step)
    ]
    sizes = b"".join(client.uid("FETCH", "1:*", "(RFC822.SIZE)")[1])
    client.logout()
    assert b"".join(pieces) == whole
    assert [int(one) for one in re.findall(rb"RFC822.SIZE (\d+)", sizes)] == [*map(len, served)]


def test_text_search_is_refused_rather_than_empty(house: Server, owner: User) -> None:
    client = house.imap(owner)
    client.select("INBOX", readonly=True)
    kind, said = client.search(None, "TEXT", "line")
    client.logout()
    assert (kind, b"CANNOT" in said[0]) == ("NO", True)
