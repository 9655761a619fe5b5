"""Mail that gpg encrypted to the account, with real keys in the real worker."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.gate import recipient
from e2email_crypto.packets import message_key_ids
from e2email_protocol.sealed.opened import Security
from e2email_protocol.sealed.record import Form, Policy
from e2email_protocol.sealed.sealer import Signature
from support.sealing import (
    TRACE,
    RealOpener,
    RealSealer,
    composed,
    encrypted_mail,
    opened,
    vector_opener,
)

FOLDER = Path(__file__).parents[1] / "vectors" / "sealed"
KEYS = json.loads((FOLDER / "keys.json").read_text())
NOW = 1_795_334_400
CERT = b64decode(KEYS["certificate"])
SEALER = RealSealer(
    recipient(CERT, NOW), ArrivalKey(bytes.fromhex(KEYS["arrival_seed"]))
)  # fmt: skip
ENTITY = (
    b'Content-Type: text/plain; charset=utf-8; protected-headers="v1"\r\n'
    b"Subject: hidden\r\n\r\nOnly for Alice.\r\n"
)

Gpg = Callable[..., bytes]
pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    folder = tmp_path_factory.mktemp("gpg")
    folder.chmod(0o700)
    environment = os.environ | {"GNUPGHOME": str(folder)}

    def run(*arguments: str, octets: bytes) -> bytes:
        command = ["gpg", "--batch", "--quiet", "--trust-model", "always", *arguments]
        done = subprocess.run(
            command, input=octets, env=environment, check=True, capture_output=True
        )
        return done.stdout

    run("--import", octets=b64decode(KEYS["secret_key"]))
    yield run
    subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=False)


@pytest.fixture(scope="module")
def opener() -> Iterator[RealOpener]:
    with vector_opener(KEYS) as real:
        yield replace(real, certs=(CERT,), now=None)


def crlf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize("options", [(), ("--sign",), ("--hidden-recipient", "alice@example.test")])
@pytest.mark.parametrize("policy", list(Policy))
def test_mail_from_gpg(
    options: tuple[str, ...], policy: Policy, gpg: Gpg, opener: RealOpener
) -> None:
    to = () if "--hidden-recipient" in options else ("-r", "alice@example.test")
    armor = crlf(gpg("--armor", "--encrypt", *to, *options, octets=ENTITY))
    received = encrypted_mail(armor)
    record = composed(received, SEALER, policy=policy)
    mail = opened(record, opener)
    assert mail.received == received
    assert mail.envelope.proven
    assert not mail.alarms
    if "--hidden-recipient" in options:  # names nobody: sealed, and handed on untouched
        assert record.form is Form.SEALED
        assert mail.view == mail.delivered
        return
    assert record.form is (Form.VERBATIM if policy is Policy.BASELINE else Form.SEALED)
    assert mail.envelope.security is Security.SENDER
    assert mail.view == TRACE + (
        b"From: Carol <carol@example.org>\r\nTo: alice@example.test\r\n"
        b'Content-Type: text/plain; charset=utf-8; protected-headers="v1"\r\n'
        b"Subject: hidden\r\nMIME-Version: 1.0\r\n\r\nOnly for Alice.\r\n"
    )
    fingerprint = SEALER.recipient.fingerprint
    assert mail.signatures == ((Signature("valid", fingerprint),) if options else ())


def test_gpg_alone_opens_body_and_envelope(gpg: Gpg) -> None:
    for size in range(3):  # gpg 2.2 minds a missing CRC for one length in three only
        record = composed(b"Subject: x\r\n\r\n" + b"x" * size, SEALER)
        body = gpg("--decrypt", octets=record.body)
        assert body.startswith(b"E2email-Seal: 1; account=alice@example.test; id=0001")
        assert gpg("--decrypt", octets=record.envelope).startswith(b'{"signature":"')


def test_every_key_of_body_and_envelope_is_the_accounts() -> None:
    record = composed(b"Subject: x\r\n\r\nhi\r\n", SEALER)
    assert message_key_ids(record.body) == SEALER.key_ids
    assert message_key_ids(record.envelope) == SEALER.key_ids
