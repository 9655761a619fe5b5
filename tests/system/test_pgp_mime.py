"""Mail that its sender encrypted with gpg: kept to the octet, and shown opened."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.gpg import Gpg, keyring
from support.system import Server, User, count, eventually, literal, literals

CAROL = "carol@example.net"
ENTITY = b"Content-Type: text/plain; charset=utf-8\r\n\r\nThe secret is 42.\r\n"
THREADED = b"References: <one@example.net>\r\n"
PREAMBLE = b"This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)"
V1 = (
    b'Content-Type: text/plain; charset=utf-8; protected-headers="v1"\r\n'
    b"Subject: the hidden subject\r\nFrom: Carol <carol@example.net>\r\n\r\nInside.\r\n"
)
RFC9788 = (
    b"Date: Sun, 22 Nov 2026 08:00:00 +0000\r\nFrom: Carol <carol@example.net>\r\n"
    b"To: you\r\nSubject: another hidden subject\r\nMIME-Version: 1.0\r\n"
    b"HP-Outer: Subject: [...]\r\nHP-Outer: From: Carol <carol@example.net>\r\n"
    b'Content-Type: text/plain; charset=utf-8; hp="cipher"\r\n\r\nInside.\r\n'
)
ATTACHED = (
    b'Content-Type: multipart/mixed; boundary="in"\r\n\r\n--in\r\nContent-Type: text/plain\r\n\r\n'
    b"See the file.\r\n--in\r\nContent-Type: application/octet-stream\r\n"
    b'Content-Disposition: attachment; filename="plan.bin"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(bytes(range(256)) * 40).replace(b"\n", b"\r\n")
    + b"--in--\r\n"
)
EIGHT_BIT = (
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Größe 42 €\r\n".encode()
)


def wrapped(armored: bytes, number: int, preamble: bytes = b"") -> bytes:
    """RFC 3156 around what gpg printed, as a mail."""
    armored = re.sub(rb"\r?\n", b"\r\n", armored)
    return (
        b"From: Carol <carol@example.net>\r\nTo: you\r\nSubject: ...\r\n"
        b"Date: Sun, 22 Nov 2026 08:00:00 +0000\r\nMessage-ID: <%d@example.net>\r\n"
        % number
        + THREADED
        + b"MIME-Version: 1.0\r\nContent-Type: multipart/encrypted;\r\n"
        b' protocol="application/pgp-encrypted"; boundary="out"\r\n\r\n'
        + (preamble + b"\r\n" if preamble else b"")
        + b"--out\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--out\r\n"
        b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n\r\n'
        + armored
        + b"\r\n--out--\r\n"
    )


@dataclass
class Senders:
    """gpg with the account's certificate, and its secret key under `sign as the owner`."""

    gpg: Gpg
    owner: str
    other: str

    def encrypt(self, entity: bytes, *options: str) -> bytes:
        return self.gpg.ok("--armor", "--encrypt", "-r", self.owner, *options, stdin=entity)

    def signed_entity(self) -> bytes:
        """multipart/signed, as programs make it that sign first and encrypt then."""
        options = ("--armor", "--detach-sign", "--digest-algo", "SHA256", "-u", CAROL)
        signature = self.gpg.ok(*options, stdin=ENTITY).replace(b"\n", b"\r\n")
        return (
            b"Content-Type: multipart/signed; micalg=pgp-sha256;\r\n"
            b' protocol="application/pgp-signature"; boundary="s"\r\n\r\n--s\r\n'
            + ENTITY
            + b"\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\n"
            + signature
            + b"\r\n--s--\r\n"
        )


@dataclass(frozen=True)
class Case:
    """`make` gives (the entity inside, what gpg printed)."""

    name: str
    make: Callable[[Senders], tuple[bytes, bytes]]
    preamble: bytes = b""


def plain(entity: bytes, *options: str) -> Callable[[Senders], tuple[bytes, bytes]]:
    return lambda senders: (entity, senders.encrypt(entity, *options))


def by_owner(senders: Senders) -> tuple[bytes, bytes]:
    return ENTITY, senders.encrypt(ENTITY, "--sign", "-u", senders.owner)


def separately(senders: Senders) -> tuple[bytes, bytes]:
    entity = senders.signed_entity()
    return entity, senders.encrypt(entity)


def for_two(senders: Senders) -> tuple[bytes, bytes]:
    return ENTITY, senders.encrypt(ENTITY, "-r", senders.other, "--compress-algo", "zlib")


CASES = [
    Case("plain", plain(ENTITY)),
    Case("signed by somebody unknown", plain(ENTITY, "--sign", "-u", CAROL)),
    Case("signed by a known key", by_owner),
    Case("hidden subject, protected-headers", plain(V1), PREAMBLE),
    Case("hidden subject, RFC 9788", plain(RFC9788)),
    Case("attachment inside", plain(ATTACHED, "--sign", "-u", CAROL)),
    Case("multipart/signed inside", separately),
    Case("lines end in LF", plain(ENTITY.replace(b"\r\n", b"\n"))),
    Case("8-bit text", plain(EIGHT_BIT)),
    Case("for two, compressed", for_two),
]


@dataclass
class Sent:
    """UID n is `mails[n - 1]`: (case, mail as sent, entity inside)."""

    user: User
    mails: list[tuple[Case, bytes, bytes]]
    folder: Path


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    with keyring() as found:
        parameters = ("--quick-generate-key", CAROL, "future-default", "default", "never")
        found.ok(*parameters)
        yield found


def senders_to(gpg: Gpg, user: User) -> Senders:
    identity = user.unlocked().vault.identities[0]
    gpg.ok("--import", stdin=identity.tsk)
    return Senders(gpg, identity.fingerprint, CAROL)


@pytest.fixture(scope="module", params=["sealed", "baseline"])
def sent(
    request: pytest.FixtureRequest,
    gpg: Gpg,
    house: Server,
    users,
    tmp_path_factory: pytest.TempPathFactory,
) -> Sent:
    user = users(f"pgp-{request.param}", request.param)
    senders = senders_to(gpg, user)
    mails = []
    for number, case in enumerate(CASES):
        entity, armored = case.make(senders)
        mail = wrapped(armored, number, case.preamble)
        mails.append((case, mail, entity))
        house.deliver(mail, user.address)
    user.sync()
    folder = tmp_path_factory.mktemp("pgp")
    for name, options in (("original", []), ("received", ["--received"])):
        done = user.e2email("export", folder / name, "--mailbox", "INBOX", *options)
        assert done.code == 0, done.error
    return Sent(user, mails, folder)


def fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """(name in lower case, octets) of each field of a well-formed header."""
    found = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header)
    return [(one.partition(b":")[0].lower(), one) for one in found]


def opened_view(delivered: bytes, entity: bytes) -> bytes:
    """docs/specs/sealed-message.md §7.1, for well-formed mail."""
    if b"\r" not in entity:
        entity = entity.replace(b"\n", b"\r\n")
    header, _, body = entity.partition(b"\r\n\r\n")
    inside = [
        (name, octets)
        for name, octets in fields(header + b"\r\n")
        if name not in {b"return-path", b"received", b"hp-outer"}
    ]
    names = {name for name, _ in inside}
    complete = any(b'hp="cipher"' in octets for name, octets in inside if name == b"content-type")
    front = b""
    for name, octets in fields(delivered.partition(b"\r\n\r\n")[0] + b"\r\n"):
        trace = name in {b"return-path", b"received"}
        ours = name == b"mime-version" or name.startswith((b"content-", b"e2email-"))
        if trace or (not complete and name not in names and not ours):
            front += octets
    version = b"" if b"mime-version" in names else b"MIME-Version: 1.0\r\n"
    return front + b"".join(octets for _, octets in inside) + version + b"\r\n" + body


def test_export_gives_the_octets_that_came(sent: Sent) -> None:
    assert len(sent.mails) >= 10
    for uid, (case, mail, _) in enumerate(sent.mails, 1):
        received = (sent.folder / "received" / "INBOX" / f"{uid}.eml").read_bytes()
        assert received == mail, case.name
        original = (sent.folder / "original" / "INBOX" / f"{uid}.eml").read_bytes()
        assert original.endswith(mail), case.name
        assert original.startswith(b"Return-Path: <carol@example.net>\r\nReceived: "), case.name


def test_the_proxy_shows_the_opened_view(sent: Sent) -> None:
    with sent.user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: count(client) == len(sent.mails))
        for uid, (case, _, entity) in enumerate(sent.mails, 1):
            original = (sent.folder / "original" / "INBOX" / f"{uid}.eml").read_bytes()
            view = opened_view(original, entity)
            _, answer = client.uid("FETCH", str(uid), "(RFC822.SIZE ENVELOPE BODY.PEEK[])")
            assert literal(answer) == view, case.name
            said = b" ".join(one[0] if isinstance(one, tuple) else one for one in answer)
            assert b"RFC822.SIZE %d " % len(view) in said, case.name
            assert b"multipart/encrypted" not in view.lower(), case.name


def test_what_is_listed_of_them(sent: Sent) -> None:
    """Hidden subjects, and what is known of encryption and signatures."""
    listed = {one["uid"]: one for one in sent.user.e2email("list", "--json").json["messages"]}
    by_name = {case.name: listed[uid] for uid, (case, _, _) in enumerate(sent.mails, 1)}
    subjects = [one["subject"] for name, one in by_name.items() if name.startswith("hidden")]
    assert subjects == ["the hidden subject", "another hidden subject"]
    assert by_name["attachment inside"]["attachments"] == 1
    security = {name: one["security"] for name, one in by_name.items()}
    assert {one["encryption"] for one in security.values()} == {"encrypted by the sender"}
    assert not [one for one in security.values() if one["alarms"]]
    signatures = {name: one["signature"] for name, one in security.items()}
    assert signatures["plain"] == "none"
    assert signatures["signed by a known key"] == "valid"
    assert signatures["signed by somebody unknown"] == "unknown-signer"
    assert signatures["attachment inside"] == "unknown-signer"


def test_what_the_server_keeps(sent: Sent, house: Server) -> None:
    """Under baseline the sender's own encryption, once; under sealed nothing of it."""
    client = house.imap(sent.user)
    client.select("INBOX", readonly=True)
    for uid, (case, mail, _) in enumerate(sent.mails, 1):
        held = literal(client.uid("FETCH", str(uid), "(BODY.PEEK[])")[1])
        if sent.user.address.startswith("pgp-baseline"):
            original = (sent.folder / "original" / "INBOX" / f"{uid}.eml").read_bytes()
            assert held.endswith(original), case.name
            assert held.startswith(b"E2email-Envelope: 1; "), case.name
        else:
            assert mail.splitlines()[-5] not in held, case.name
            assert b"carol@example.net" not in held, case.name
    client.logout()


CLAIM = b"-----BEGIN PGP MESSAGE-----\n\nbm8gcGFja2V0cw==\n=AAAA\n-----END PGP MESSAGE-----\n"
CLEAR = b"The secret is 42, in clear.\n"


@pytest.mark.parametrize("policy", ["sealed", "baseline"])
def test_what_is_not_encrypted_to_the_account_is_sealed(
    house: Server, users, gpg: Gpg, policy: str, tmp_path: Path
) -> None:
    user = users(f"claims-{policy}", policy)
    stranger = gpg.ok("--armor", "--encrypt", "-r", CAROL, stdin=ENTITY)
    payloads = {"claims it": CLAIM, "in clear": CLEAR, "for nobody here": stranger}
    mails = [wrapped(armored, number) for number, armored in enumerate(payloads.values())]
    for mail in mails:
        house.deliver(mail, user.address)

    client = house.imap(user)
    client.select("INBOX", readonly=True)
    held = literals(client.fetch("1:*", "(BODY.PEEK[])")[1])
    client.logout()
    for name, armored, rendering in zip(payloads, payloads.values(), held, strict=True):
        lines = [line for line in armored.splitlines() if line and not line.startswith(b"-----")]
        assert not [line for line in lines if line in rendering], name
        assert b"application/pgp-encrypted" in rendering, name

    user.sync()
    done = user.e2email("export", tmp_path, "--received", "--mailbox", "INBOX")
    assert done.code == 0, done.error
    exported = [(tmp_path / "INBOX" / f"{uid}.eml").read_bytes() for uid in (1, 2, 3)]
    assert exported == mails
    # not ours to open: handed on as it came
    with user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: count(client) == 3)
        views = literals(client.fetch("1:*", "(BODY.PEEK[])")[1])
    assert all(view.endswith(mail) for view, mail in zip(views, mails, strict=True))
