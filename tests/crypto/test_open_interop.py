"""Other OpenPGP programs, through their Stateless OpenPGP command lines, where installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from e2email_crypto.armor import dearmor
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import new_identity, sign_detached
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from e2email_crypto.verify import SignatureState, verify_detached
from support.forge import DAY, NOW, SOON
from support.sealing import armored

# LF, since gosop writes no CR whatever the message says of itself
TEXT = "Grüße,\nzweite Zeile\n".encode()
LIMIT = 1 << 20


class Sop:
    def __init__(self, program: str, folder: Path) -> None:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: interoperability with it is NOT tested")
        self.program, self.folder = program, folder

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin, capture_output=True, cwd=self.folder, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def file(self, name: str, octets: bytes) -> str:
        # gosop falls over names of fewer than five characters
        (self.folder / name).write_bytes(octets)
        return name


@pytest.fixture(params=["sqop", "gosop"])
def sop(request: pytest.FixtureRequest, tmp_path: Path) -> Sop:
    return Sop(request.param, tmp_path)


def test_they_use_our_compat_identity(sop: Sop) -> None:
    ann = new_identity("ann@example.org", "Ann", NOW - DAY)
    key = sop.file("secret.key", ann.tsk)
    cert = sop.file("public.cert", ann.cert)
    sealed = seal(TEXT, [recipient(ann.cert, NOW)])
    assert sop.run("decrypt", key, stdin=armored(sealed)) == TEXT
    made = sop.run("encrypt", f"--sign-with={key}", cert, stdin=TEXT)
    with OpenWorker(ann.tsk) as worker:
        opened = worker.open(dearmor(made, b"MESSAGE", LIMIT), certs=[ann.cert])
    assert opened.plaintext == TEXT
    assert [v.state for v in opened.signatures] == [SignatureState.VALID]
    signature = sop.file("detached.sig", sign_detached(ann.tsk, TEXT))
    assert ann.fingerprint.encode() in sop.run("verify", signature, cert, stdin=TEXT)
    theirs = dearmor(sop.run("sign", key, stdin=TEXT), b"SIGNATURE", LIMIT)
    assert verify_detached(TEXT, theirs, [ann.cert], SOON).state is SignatureState.VALID


def test_we_use_their_keys(sop: Sop) -> None:
    key = sop.run("generate-key", "--no-armor", "Ben <ben@example.org>")
    cert = sop.run("extract-cert", "--no-armor", stdin=key)
    sealed = seal(TEXT, [recipient(cert, SOON)])
    assert sop.run("decrypt", sop.file("secret.key", key), stdin=armored(sealed)) == TEXT
    with OpenWorker(key) as worker:
        assert worker.open(sealed).plaintext == TEXT
