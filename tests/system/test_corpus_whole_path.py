"""Real mail in by SMTP and out again octet for octet: as files, and at the proxy."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from imapclient import IMAPClient

from support import corpus
from support.system import Proxy, Server, User, count, eventually, literals, without_ours

POLICIES = ("sealed", "baseline")


@dataclass
class Delivered:
    """The corpus in one user's inbox: UID n is `mails[n - 1]`, a name and the octets sent."""

    user: User
    mails: list[tuple[str, bytes]]
    original: dict[int, bytes]
    received: dict[int, bytes]


def exported(user: User, folder: Path, *options: str) -> dict[int, bytes]:
    """UID → octets of what `e2email export` wrote of the inbox."""
    done = user.e2email("export", folder, "--mailbox", "INBOX", "--json", *options)
    assert done.code == 0, done.error
    return {int(path.stem): path.read_bytes() for path in (folder / "INBOX").glob("*.eml")}


@pytest.fixture(scope="module", params=POLICIES)
def delivered(
    request: pytest.FixtureRequest, house: Server, users, tmp_path_factory: pytest.TempPathFactory
) -> Delivered:
    policy = request.param
    user = users(f"corpus-{policy}", policy)
    mails = list(corpus.messages())
    with house.smtp() as client:
        for name, octets in mails:
            assert [one[:3] for one in client.send(octets, [user.address])] == ["250"] * 2, name
    told = user.sync()
    assert (told["messages"], told["opened"]) == (len(mails), len(mails))
    assert (told["unreadable"], told["alarms"]) == (0, 0)
    folder = tmp_path_factory.mktemp("exported")
    original = exported(user, folder / "original")
    return Delivered(user, mails, original, exported(user, folder / "received", "--received"))


@pytest.fixture(scope="module")
def proxy(delivered: Delivered) -> Iterator[Proxy]:
    with delivered.user.proxy() as running:
        with running.imap() as client:
            total = len(delivered.mails)
            assert eventually(lambda: count(client) == total)
        yield running


def test_the_whole_corpus_is_there(delivered: Delivered) -> None:
    assert len(delivered.mails) == 341
    assert sorted(delivered.original) == list(range(1, 342))


def test_export_received_is_what_was_sent(delivered: Delivered) -> None:
    assert sorted(delivered.received) == list(range(1, len(delivered.mails) + 1))
    different = [
        name
        for uid, (name, sent) in enumerate(delivered.mails, 1)
        if delivered.received[uid] != sent
    ]
    assert not different


def test_export_has_our_two_fields_in_front(delivered: Delivered) -> None:
    for uid, (name, sent) in enumerate(delivered.mails, 1):
        octets = delivered.original[uid]
        front = octets[: len(octets) - len(sent)]
        assert octets == front + sent, name
        assert without_ours(front + b"X: y\r\n") == b"X: y\r\n", name
        assert front.startswith(b"Return-Path: <carol@example.net>\r\nReceived: from "), name


def test_imaplib_reads_the_opened_view(delivered: Delivered, proxy: Proxy) -> None:
    with proxy.imap() as client:
        _, answer = client.uid("FETCH", "1:*", "(BODY.PEEK[])")
    assert literals(answer) == [octets for _, octets in sorted(delivered.original.items())]


def test_imapclient_reads_the_same_with_its_sizes(delivered: Delivered, proxy: Proxy) -> None:
    with IMAPClient("localhost", proxy.shown["imaps"], ssl_context=proxy.tls()) as client:
        client.login(delivered.user.address, proxy.password)
        client.select_folder("INBOX", readonly=True)
        found = client.fetch(sorted(delivered.original), ["BODY[]", "RFC822.SIZE", "BODYSTRUCTURE"])
    assert {uid: one[b"BODY[]"] for uid, one in found.items()} == delivered.original
    sizes = {uid: len(octets) for uid, octets in delivered.original.items()}
    assert {uid: one[b"RFC822.SIZE"] for uid, one in found.items()} == sizes


@pytest.mark.parametrize("item", ["BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]"])
def test_header_and_text_are_the_halves_of_the_body(
    delivered: Delivered, proxy: Proxy, item: str
) -> None:
    with proxy.imap() as client:
        _, answer = client.uid("FETCH", "1:*", f"({item})")
    found = literals(answer)
    assert len(found) == len(delivered.mails)
    whole = [octets for _, octets in sorted(delivered.original.items())]
    if item.endswith("HEADER]"):
        assert all(octets.startswith(half) for octets, half in zip(whole, found, strict=True))
    else:
        assert all(octets.endswith(half) for octets, half in zip(whole, found, strict=True))


def test_show_raw_is_the_original(delivered: Delivered) -> None:
    done = delivered.user.e2email("show", 1, "--raw")
    assert (done.code, done.output) == (0, delivered.original[1])
    done = delivered.user.e2email("show", 341, "--raw", "--received")
    assert (done.code, done.output) == (0, delivered.received[341])
