"""Who got hold of stored octets mails them to their owner, and learns nothing from the answer.

Without this check the owner's program would open the copy, and a reply would quote it.
"""

import re
from base64 import b64decode
from pathlib import Path

import pytest

from e2email_protocol.sealed.render import parse_rendered
from support.sealing import armored as armor
from support.system import Server, User, count, eventually, literals

SECRET = b"From: Bank <bank@example.net>\r\nSubject: your code\r\n\r\nThe code is 4711-0815.\r\n"
CANARIES = (b"4711-0815", b"your code")


def from_a_stranger(octets: bytes) -> bytes:
    return (
        b"From: Mallory <mallory@example.net>\r\nTo: you\r\nSubject: can you read this?\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/encrypted;"
        b' protocol="application/pgp-encrypted"; boundary="m"\r\n\r\n'
        b"--m\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n"
        b"--m\r\nContent-Type: application/octet-stream\r\n\r\n" + armor(octets) + b"\r\n--m--\r\n"
    )


def stored(house: Server, user: User) -> list[bytes]:
    """The inbox as the server holds it."""
    client = house.imap(user)
    try:
        client.select("INBOX", readonly=True)
        return literals(client.fetch("1:*", "(BODY.PEEK[])")[1])
    finally:
        client.logout()


@pytest.mark.parametrize("policy", ["sealed", "baseline"])
def test_a_copy_of_stored_mail_is_not_shown(
    house: Server, users, policy: str, tmp_path: Path
) -> None:
    user = users(f"copied-{policy}", policy)
    house.deliver(SECRET, user.address)
    (rendering,) = stored(house, user)
    record = parse_rendered(rendering)
    # the whole rendering too: as mail it is what an inbox holds, not a record of ours
    mails = [from_a_stranger(record.body), from_a_stranger(record.envelope), rendering]
    for mail in mails:
        house.deliver(mail, user.address, sender="mallory@example.net")
    assert user.sync()["alarms"] == len(mails)

    with user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: count(client) == 1 + len(mails))
        first, *copies = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
        answer = client.uid("FETCH", "2:*", "(ENVELOPE BODYSTRUCTURE)")[1]
        assert client.uid("SEARCH", "TEXT", "4711-0815")[1][0].split() == [b"1"]
    assert first.endswith(SECRET)
    for copy in copies:
        assert not [one for one in CANARIES if one in opened(copy)]
    assert b"your code" not in b"".join(map(bytes, answer))

    # nobody is kept from what was sent, which opens nothing
    done = user.e2email("export", tmp_path, "--received", "--mailbox", "INBOX")
    assert done.code == 0, done.error
    exported = [(tmp_path / "INBOX" / f"{uid}.eml").read_bytes() for uid in (2, 3, 4)]
    assert exported == mails

    shown = user.e2email("show", 2)
    assert b"4711-0815" not in shown.output
    said = shown.output.decode() + shown.error
    assert "copy of a message" in said or "cannot be opened" in said, said
    listed = user.e2email("list", "--json")
    assert listed.output.count(b"your code") == 1


def opened(octets: bytes) -> bytes:
    """A view and what stands in base64 in it."""
    blocks = re.findall(rb"(?:^[A-Za-z0-9+/=]{4,76}\r\n)+", octets, re.M)
    return octets + b"".join(b64decode(one + b"===") for one in blocks)
