"""Mail that breaks rules or tries limits (DESIGN §8): taken, listed, given back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from imapclient import IMAPClient

from support import sealing
from support.gpg import Gpg, keyring
from support.system import Server, User, count, eventually, literals

FROM = b"From: Carol <carol@example.net>\r\n"
MIXED = FROM + b'Subject: parts\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'


def nested(depth: int) -> bytes:
    """multipart in multipart, each with a boundary of its own."""
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="n%d"\r\n\r\n--n%d\r\n' % (n, n)
        for n in range(depth)
    )
    return FROM + head + b"\r\ndeep\r\n"


ODD = {
    "empty": b"",
    "one empty line": b"\r\n",
    "a header only": b"Subject: header only\r\n",
    "text only": b"no header at all\r\n",
    "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\n.\r.\r\n",
    "bare CR and LF": FROM + b"Subject: bare\r\n\r\none\rtwo\nthree\n\r\r\nfour\x00\r\n",
    "headers end in bare LF": b"Subject: lf\nFrom: carol@example.net\n\nText\n\r\n",
    "a line of a million": FROM + b"\r\n" + b"x" * 1_000_000 + b"\r\n",
    "a header of 300 KiB": FROM + b"X-Long: " + b"y" * (300 << 10) + b"\r\n\r\nText\r\n",
    "a subject of 100 KiB": FROM + b"Subject: " + b"s" * (100 << 10) + b"\r\n\r\nText\r\n",
    "5,000 recipients in To": FROM
    + b"To: "
    + b"a@example.net,\r\n " * 5000
    + b"b@c\r\n\r\nText\r\n",
    "12,000 parts": MIXED + b"--b\r\n\r\nx\r\n" * 12_000 + b"--b--\r\n",
    "300 deep": nested(300),
    "250,000 lines like boundaries": MIXED + b"--b-\r\n" * 250_000,
    "two Content-Types": FROM
    + b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n<p>\r\n",
    "an open quote": FROM + b'Content-Type: text/plain; name="open\r\n\r\nText\r\n',
    "8-bit header": b"From: \xe4@b\r\nSubject: \xff\x00\r\nContent-Type: t\xe4/x\r\n\r\n\xff\r\n",
    "our own fields": FROM
    + b"E2email-Envelope: 1; id=00000000000000000000000000000000; policy=sealed;\r\n AAAA\r\n"
    + b"E2email-Seal: 1; account=x; id=y\r\nAuthentication-Results: localhost; dkim=pass\r\n"
    + b"Subject: claims\r\n\r\nText\r\n",
    "forged trace": b"Return-Path: <x@y>\r\nReceived: from localhost\r\n" + FROM + b"\r\nText\r\n",
    "leading white space": b" folded\r\n\tfolded again\r\n" + FROM + b"\r\nText\r\n",
    "terminal escapes": FROM + b"Subject: \x1b]0;owned\x07 \x1b[31m\x9b31m\r\n\r\n\x1b[2J\r\n",
}


@pytest.fixture(scope="module", params=["sealed", "baseline"])
def owner(request: pytest.FixtureRequest, house: Server, users) -> User:
    user = users(f"odd-{request.param}", request.param)
    with house.smtp() as client:
        for name, mail in ODD.items():
            assert client.send(mail, [user.address])[-1].startswith("250"), name
    return user


@pytest.fixture(scope="module")
def exported(owner: User, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    told = owner.sync()
    assert (told["opened"], told["unreadable"]) == (len(ODD), 0)
    assert told["alarms"] == 0
    folder = tmp_path_factory.mktemp("odd")
    done = owner.e2email("export", folder, "--received", "--mailbox", "INBOX")
    assert done.code == 0, done.error
    return {name: (folder / "INBOX" / f"{uid}.eml").read_bytes() for uid, name in enumerate(ODD, 1)}


def test_every_octet_comes_back(exported: dict[str, bytes]) -> None:
    assert not [name for name, mail in ODD.items() if exported[name] != mail]


def test_a_program_lists_and_reads_them(owner: User, exported: dict[str, bytes]) -> None:
    with owner.proxy() as proxy, proxy.imap() as waiting:
        assert eventually(lambda: count(waiting) == len(ODD))
        with IMAPClient("localhost", proxy.shown["imaps"], ssl_context=proxy.tls()) as client:
            client.login(owner.address, proxy.password)
            client.select_folder("INBOX", readonly=True)
            for uid, name in enumerate(ODD, 1):
                # the answer's own literals and quoting must be well-formed
                found = client.fetch([uid], ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "BODY[]"])
                assert found[uid][b"BODY[]"].endswith(exported[name]), name
                assert found[uid][b"RFC822.SIZE"] == len(found[uid][b"BODY[]"]), name


def test_what_a_terminal_would_obey_is_not_printed(owner: User, exported: dict[str, bytes]) -> None:
    uid = list(ODD).index("terminal escapes") + 1
    for done in (owner.e2email("list"), owner.e2email("show", uid)):
        assert done.code == 0, done.error
        text = done.output.decode()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
        assert "owned" in text


def test_our_own_fields_mean_nothing_when_a_sender_writes_them(
    owner: User, exported: dict[str, bytes]
) -> None:
    listed = owner.e2email("list", "--json").json["messages"]
    by_uid = {one["uid"]: one for one in listed}
    for name in ("our own fields", "forged trace"):
        security = by_uid[list(ODD).index(name) + 1]["security"]
        assert (security["origin"], security["verdicts"], security["alarms"]) == ("smtp", {}, [])
        assert security["encryption"] == "sealed on arrival"


# encrypted mail that harms whoever opens it


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    with keyring() as found:
        yield found


def encrypted(armored: bytes) -> bytes:
    return (
        FROM + b"Subject: ...\r\nContent-Type: multipart/encrypted;"
        b' protocol="application/pgp-encrypted"; boundary="out"\r\n\r\n'
        b"--out\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n"
        b"--out\r\nContent-Type: application/octet-stream\r\n\r\n"
        + armored.replace(b"\n", b"\r\n")
        + b"\r\n--out--\r\n"
    )


@pytest.mark.parametrize("policy", ["sealed", "baseline"])
def test_a_bomb_harms_only_itself(
    house: Server, users, gpg: Gpg, policy: str, tmp_path: Path
) -> None:
    """300 MB of zeros in 300 KB: that mail is a notice, the ones beside it open."""
    user = users(f"nested-{policy}", policy)
    identity = user.unlocked().vault.identities[0]
    gpg.ok("--import", stdin=identity.certificate)
    zeros = tmp_path / "zeros"
    with zeros.open("wb") as file:
        file.truncate(300_000_000)
    options = ("--armor", "--encrypt", "--compress-algo", "zlib", "-r", identity.fingerprint)
    bomb = encrypted(gpg.ok(*options, "--output", "-", zeros))
    assert len(bomb) < 1_000_000
    good = encrypted(gpg.ok(*options, stdin=b"Content-Type: text/plain\r\n\r\nGood.\r\n"))
    for mail in (good, bomb, good):
        house.deliver(mail, user.address)
    told = user.sync()
    assert (told["opened"], told["unreadable"]) == (3, 1)
    with user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: count(client) == 3)
        views = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
        assert [b"Good." in view for view in views] == [True, False, True]
        assert b"memory or time" in views[1]
        assert client.uid("SEARCH", "TEXT", "Good.")[1] == [b"1 3"]
        house.deliver(good, user.address)
        assert eventually(lambda: count(client) == 4)
        assert b"Good." in b"".join(literals(client.uid("FETCH", "4", "(BODY.PEEK[])")[1]))
    # its octets are not lost
    done = user.e2email("export", tmp_path / "out", "--received", "--mailbox", "INBOX")
    assert done.code == 0, done.error
    assert (tmp_path / "out" / "INBOX" / "2.eml").read_bytes() == bomb


@pytest.mark.parametrize("policy", ["sealed", "baseline"])
def test_broken_encryption_comes_back_exactly(
    house: Server, users, gpg: Gpg, policy: str, tmp_path: Path
) -> None:
    """Encrypted to the account, and damaged on its way: not readable, and still what was sent."""
    user = users(f"broken-{policy}", policy)
    identity = user.unlocked().vault.identities[0]
    gpg.ok("--import", stdin=identity.certificate)
    octets = bytearray(gpg.ok("--encrypt", "-r", identity.fingerprint, stdin=b"Text" * 1000))
    octets[-30] ^= 1  # the modification detection code does not fit
    mail = encrypted(sealing.armored(bytes(octets)).replace(b"\r\n", b"\n"))
    house.deliver(mail, user.address)
    assert user.sync()["unreadable"] == 1
    done = user.e2email("export", tmp_path, "--received", "--mailbox", "INBOX")
    assert done.code == 0, done.error
    assert (tmp_path / "INBOX" / "1.eml").read_bytes() == mail
    shown = user.e2email("show", "1", "--raw", "--received")
    assert (shown.code, shown.output) == (0, mail)
