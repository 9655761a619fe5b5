"""The life of a key between us, gpg 2.2 and sq: imported, rotated, revoked, given back."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pysequoia
import pytest
from openpgp import composed, types

from e2email_crypto import packets
from e2email_crypto.armor import dearmor
from e2email_crypto.cert import inspect_cert
from e2email_crypto.errors import KeyRefused, Refusal, SecretMissing, WrongSecret
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import (
    Reason,
    add_address,
    export_secret,
    extend,
    new_identity,
    revoke,
    revoke_address,
    rotate_encryption,
)  # fmt: skip
from e2email_crypto.keyimport import Imported, read_secret
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from support import gpg, rnp
from support.forge import DAY, NOW
from support.gpg import Gpg

PASSPHRASE = "geheim"
BORN = "20240101T000000"
KINDS = {
    "rsa": "Key-Type: RSA\nKey-Length: 3072\nKey-Usage: sign\n"
    "Subkey-Type: RSA\nSubkey-Length: 2048\nSubkey-Usage: encrypt\n",
    "curve25519": "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign\n"
    "Subkey-Type: ECDH\nSubkey-Curve: cv25519\nSubkey-Usage: encrypt\n",
    "nistp256": "Key-Type: ECDSA\nKey-Curve: nistp256\nKey-Usage: sign\n"
    "Subkey-Type: ECDH\nSubkey-Curve: nistp256\nSubkey-Usage: encrypt\n",
}


@pytest.fixture(scope="module")
def theirs() -> Iterator[Gpg]:
    with gpg.keyring() as ring:
        for kind, parameters in KINDS.items():
            made = f"Creation-Date: {BORN}\nName-Real: Ann\nName-Email: {kind}@example.org\n"
            locked = f"Passphrase: {PASSPHRASE}\n%commit\n"
            ring.ok("--gen-key", stdin=(parameters + made + locked).encode())
        yield ring


def exported(ring: Gpg, name: str, what: str = "--export-secret-keys") -> bytes:
    return ring.ok("--passphrase", PASSPHRASE, "--armor", what, name)


def taken(ring: Gpg, kind: str) -> Imported:
    return read_secret(exported(ring, f"{kind}@example.org"), PASSPHRASE, NOW)


def opens(tsk: bytes, message: bytes) -> bytes:
    with OpenWorker(tsk) as worker:
        return worker.open(message).plaintext


def listed(ring: Gpg, what: str = "--list-keys") -> list[list[str]]:
    return [line.split(":") for line in ring.ok("--with-colons", what).decode().splitlines()]


# --- gpg -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_gpg_is_taken_over_rotated_and_given_back(theirs: Gpg, kind: str) -> None:
    name = f"{kind}@example.org"
    old = theirs.ok("--encrypt", "-r", name, stdin=b"old")
    mine = taken(theirs, kind)
    assert (mine.refusal, opens(mine.tsk, old)) == (None, b"old")
    sealed_before = seal(b"before", [recipient(mine.cert, NOW)])
    edited = rotate_encryption(mine.tsk, NOW)
    assert opens(edited.tsk, old) == b"old"
    with gpg.keyring() as ring:
        ring.ok("--import", stdin=export_secret(edited.tsk, "other", NOW))
        assert ring.run("--passphrase", "wrong", "--decrypt", stdin=sealed_before).returncode
        subkeys = [line for line in listed(ring) if line[0] == "sub"]
        assert [line[1] for line in subkeys] == ["r", "-"]
        new = ring.ok("--encrypt", "-r", name, stdin=b"new")
        assert packets.message_key_ids(new) == {subkeys[1][4]}
        assert opens(edited.tsk, new) == b"new"
        for text, cert in ((b"before", None), (b"after", edited.cert)):
            sealed = seal(text, [recipient(cert, NOW)]) if cert else sealed_before
            assert ring.ok("--passphrase", "other", "--decrypt", stdin=sealed) == text


def test_a_wrong_passphrase_of_gpg(theirs: Gpg) -> None:
    with pytest.raises(WrongSecret):
        read_secret(exported(theirs, "curve25519@example.org"), "wrong", NOW)


def test_subkeys_without_their_primary_key_are_named(theirs: Gpg) -> None:
    with pytest.raises(SecretMissing, match="left out"):
        read_secret(
            exported(theirs, "curve25519@example.org", "--export-secret-subkeys"), PASSPHRASE, NOW
        )


def test_gpg_follows_what_happens_to_a_key() -> None:
    """Every update is merged by gpg into what it has."""
    ann = new_identity("ann@example.org", "Ann", NOW - 90 * DAY)
    with gpg.keyring() as ring:

        def told(cert: bytes) -> list[list[str]]:
            ring.ok("--import", stdin=cert)
            return listed(ring)

        told(ann.cert)
        edited = extend(ann.tsk, NOW + 30 * DAY, NOW - 80 * DAY)
        assert told(edited.cert)[1][6] == str(NOW + 30 * DAY)
        edited = extend(edited.tsk, None, NOW - 70 * DAY)
        assert told(edited.cert)[1][6] == ""
        edited = add_address(edited.tsk, "ann@example.net", "Ann", NOW - 60 * DAY)
        lines = told(edited.cert)
        assert {(x[1], x[9]) for x in lines if x[0] == "uid"} == {
            ("-", "Ann <ann@example.org>"), ("-", "Ann <ann@example.net>"),
        }  # fmt: skip
        edited = revoke_address(edited.tsk, "ann@example.net", NOW - 50 * DAY)
        lines = told(edited.cert)
        assert {(x[1], x[9]) for x in lines if x[0] == "uid"} == {
            ("-", "Ann <ann@example.org>"), ("r", "Ann <ann@example.net>"),
        }  # fmt: skip
        for ago in (40, 30):
            edited = rotate_encryption(edited.tsk, NOW - ago * DAY, compromised=ago == 30)
        assert [x[1] for x in told(edited.cert) if x[0] == "sub"] == ["r", "r", "-"]
        new = ring.ok("--encrypt", "-r", "ann@example.org", stdin=b"new")
        assert packets.message_key_ids(new) == recipient(edited.cert, NOW).key_ids
        edited = revoke(edited.tsk, Reason.RETIRED, NOW - 20 * DAY)
        assert told(edited.cert)[1][1] == "r"
        assert ring.run("--encrypt", "-r", "ann@example.org", stdin=b"x").returncode


def test_an_expired_key_of_gpg_with_two_subkeys_is_extended() -> None:
    with gpg.keyring() as ring:
        past = ("--faked-system-time", BORN)
        ring.ok(*past, "--quick-gen-key", "Eve <eve@example.org>", "ed25519", "sign", "1y")
        fingerprint = next(x[9] for x in listed(ring) if x[0] == "fpr")
        for _ in range(2):
            ring.ok(*past, "--quick-add-key", fingerprint, "cv25519", "encr", "6m")
        old = ring.ok(*past, "--encrypt", "-r", "eve@example.org", stdin=b"old")
        mine = read_secret(ring.ok("--export-secret-keys", fingerprint), None, NOW)
        assert mine.refusal is Refusal.EXPIRED
        assert opens(mine.tsk, old) == b"old"
        edited = extend(mine.tsk, NOW + 300 * DAY, NOW)
        ring.ok("--import", stdin=edited.cert)
        new = ring.ok("--encrypt", "-r", "eve@example.org", stdin=b"new")
        assert packets.message_key_ids(new) <= recipient(edited.cert, NOW).key_ids
        assert opens(edited.tsk, new) == b"new"
        assert ring.ok("--decrypt", stdin=seal(b"x", [recipient(edited.cert, NOW)])) == b"x"


# --- sq --------------------------------------------------------------------------------------


@dataclass
class Sq:
    folder: Path

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(
            ["sq", "--force", *arguments], input=stdin, capture_output=True, cwd=self.folder,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def file(self, name: str, octets: bytes) -> str:
        (self.folder / name).write_bytes(octets)
        return name

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def sq(tmp_path: Path) -> Sq:
    if shutil.which("sq") is None:
        pytest.skip("sq is not installed: interoperability with it is NOT tested")
    return Sq(tmp_path)


def binary(armored: bytes) -> bytes:
    return dearmor(armored, b"MESSAGE", 1 << 20) if armored.startswith(b"-") else armored


@pytest.mark.parametrize("suite", ["cv25519", pytest.param("rsa3k", marks=pytest.mark.slow)])
def test_a_key_of_sq_lives_on_here(sq: Sq, suite: str) -> None:
    born = ["--creation-time", "20240101"]
    sq.run("key", "generate", "-c", suite, *born, "-u", "Ben <ben@example.org>", "-e", "key.pgp")
    mine = read_secret(sq.read("key.pgp"), None, NOW)
    cert = sq.file("old.pgp", mine.cert)
    old = binary(sq.run("encrypt", "--recipient-cert", cert, stdin=b"old"))
    assert (mine.refusal, opens(mine.tsk, old)) == (None, b"old")
    edited = rotate_encryption(mine.tsk, NOW - 3 * DAY)
    edited = add_address(edited.tsk, "ben@example.net", "Ben", NOW - 2 * DAY)
    edited = extend(edited.tsk, NOW + 30 * DAY, NOW - DAY)
    sq.file("new.pgp", edited.cert)
    shown = sq.run("inspect", "new.pgp").decode()
    assert shown.count("Revoked") >= 1
    assert "Ben <ben@example.net>" in shown
    new = binary(sq.run("encrypt", "--recipient-cert", "new.pgp", stdin=b"new"))
    assert packets.message_key_ids(new) == recipient(edited.cert, NOW).key_ids
    assert opens(edited.tsk, new) == b"new"
    sq.file("mine.pgp", edited.tsk)
    for text, sealed_to in ((b"before", mine.cert), (b"after", edited.cert)):
        sq.file("mail.pgp", seal(text, [recipient(sealed_to, NOW)]))
        assert sq.run("decrypt", "--recipient-key", "mine.pgp", "mail.pgp") == text
    gone = revoke(edited.tsk, Reason.COMPROMISED, NOW)
    shown = sq.run("inspect", sq.file("gone.pgp", gone.cert)).decode()
    assert "Revoked" in shown.split("Subkey")[0]


def test_sq_reads_our_export(sq: Sq) -> None:
    ann = new_identity("ann@example.org", "Ann", NOW - DAY)
    sq.file("key.pgp", export_secret(ann.tsk, PASSPHRASE, NOW))
    assert "encrypted" in sq.run("inspect", "key.pgp").decode().lower()
    plain = read_secret(sq.read("key.pgp"), PASSPHRASE, NOW)
    assert plain.tsk == ann.tsk


# --- Thunderbird -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["curve25519", "rsa"])
def test_a_key_of_thunderbird_is_taken_over_rotated_and_given_back(kind: str) -> None:
    name = "Tom <tom@example.org>"
    with rnp.keyring() as theirs:
        theirs.passphrase = PASSPHRASE.encode()
        if kind == "rsa":
            theirs.generate_rsa(name, 2048)
        else:
            theirs.generate_25519(name)
        old = theirs.encrypt(name, b"old")
        backup = theirs.export(name, secret=True)
        public = theirs.export(name, secret=False)
    with pytest.raises(WrongSecret):
        read_secret(public + backup, "wrong", NOW + DAY)
    mine = read_secret(public + backup, PASSPHRASE, NOW + DAY)
    assert (mine.refusal, mine.user_ids, opens(mine.tsk, old)) == (None, (name,), b"old")
    sealed_before = seal(b"before", [recipient(mine.cert, NOW + DAY)])
    edited = rotate_encryption(mine.tsk, int(time.time()))
    with rnp.keyring() as ring:
        ring.take(export_secret(edited.tsk, "other", NOW + DAY))
        new = ring.encrypt(name, b"new")
        assert packets.message_key_ids(new) == recipient(edited.cert, NOW + DAY).key_ids
        assert opens(edited.tsk, new) == b"new"
        ring.passphrase = b"other"
        assert ring.decrypt(sealed_before) == b"before"
        after = seal(b"after", [recipient(edited.cert, NOW + DAY)])
        assert ring.decrypt(after) == b"after"
    with rnp.keyring() as ring:
        ring.take(export_secret(edited.tsk, "other", NOW + DAY))
        ring.passphrase = b"wrong"
        with pytest.raises(rnp.Refused):
            ring.decrypt(after)


def test_thunderbird_follows_what_happens_to_a_key() -> None:
    ann = new_identity("ann@example.org", "Ann", NOW - 90 * DAY)
    one, other = "Ann <ann@example.org>", "Ann <ann@example.net>"
    with rnp.keyring() as ring:
        ring.take(ann.cert)
        first = packets.message_key_ids(ring.encrypt(one, b"x"))
        edited = add_address(ann.tsk, "ann@example.net", "Ann", NOW - 80 * DAY)
        ring.take(edited.cert)
        assert packets.message_key_ids(ring.encrypt(other, b"x")) == first
        edited = rotate_encryption(edited.tsk, NOW - 70 * DAY)
        ring.take(edited.cert)
        new = ring.encrypt(one, b"new")
        assert packets.message_key_ids(new) == recipient(edited.cert, NOW).key_ids != first
        assert opens(edited.tsk, new) == b"new"
        edited = revoke(edited.tsk, Reason.RETIRED, NOW - 60 * DAY)
        ring.take(edited.cert)
        with pytest.raises(rnp.Refused):
            ring.encrypt(one, b"x")


# --- pysequoia, rpgp -------------------------------------------------------------------------


def rpgp_key(version: int, protection: types.S2kParams | None) -> bytes:
    subkey = composed.SubkeyParamsBuilder().version(version)
    subkey = subkey.key_type(
        composed.KeyType.ecdh("curve25519") if version == 4 else composed.KeyType.x25519()
    ).can_encrypt(composed.EncryptionCaps.all())
    key = composed.SecretKeyParamsBuilder().version(version)
    key = key.key_type(
        composed.KeyType.ed25519_legacy() if version == 4 else composed.KeyType.ed25519()
    )
    key = key.can_certify(True).can_sign(True).primary_user_id("Eve <eve@example.org>")
    if protection is not None:
        subkey, key = (b.passphrase(PASSPHRASE).s2k(protection) for b in (subkey, key))
    return bytes(key.subkey(subkey.build()).generate().to_bytes())


ITERATED, ARGON2 = types.StringToKey.iterated, types.StringToKey.argon2
PROTECTIONS: dict[str, Callable[[], types.S2kParams]] = {
    # what Thunderbird's library writes
    "thunderbird": lambda: types.S2kParams.cfb("aes256", ITERATED("sha256", 200)),
    "sha512": lambda: types.S2kParams.cfb("aes128", ITERATED("sha512", 96)),
    "argon2": lambda: types.S2kParams.aead("aes256", "ocb", ARGON2(1, 4, 16)),
    "gcm": lambda: types.S2kParams.aead("aes128", "gcm", ITERATED("sha256", 96)),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protection", PROTECTIONS)
def test_protected_keys_of_rpgp(version: int, protection: str) -> None:
    octets = rpgp_key(version, PROTECTIONS[protection]())
    got = read_secret(octets, PASSPHRASE, NOW + DAY)
    assert (got.profile, got.refusal) == ("compat" if version == 4 else "modern", None)
    with pytest.raises(WrongSecret):
        read_secret(octets, "wrong", NOW + DAY)


@pytest.mark.parametrize("profile", [pysequoia.Profile.RFC4880, pysequoia.Profile.RFC9580])
def test_keys_of_pysequoia_with_features_that_pgpy_would_break(profile) -> None:
    tsk = bytes(pysequoia.Tsk.generate("Eve <eve@example.org>", profile=profile))
    got = read_secret(tsk, None, NOW + DAY)
    assert (got.tsk, got.refusal) == (tsk, None)
    two = add_address(got.tsk, "eve@example.net", "Eve", int(time.time()))
    assert len(inspect_cert(two.cert, NOW + DAY).user_ids) == 2
    assert not inspect_cert(two.cert, NOW + DAY).forged


@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_both_libraries_read_our_export(profile) -> None:
    ann = new_identity("ann@example.org", "Ann", NOW - DAY, profile)
    out = export_secret(ann.tsk, PASSPHRASE, NOW + DAY)
    signer = pysequoia.Tsk.from_bytes(out).signer(PASSPHRASE)
    assert pysequoia.sign(signer, b"data")
    with pytest.raises(RuntimeError):
        pysequoia.Tsk.from_bytes(out).signer("wrong")
    parsed = composed.SignedSecretKey.from_bytes(out)
    message = composed.Message.from_bytes(seal(b"x", [recipient(ann.cert, NOW + DAY)]))
    assert message.decrypt(PASSPHRASE, parsed).as_data_vec() == b"x"


def test_a_curve_that_nobody_here_knows_is_refused() -> None:
    with gpg.keyring() as ring:
        brainpool = KINDS["nistp256"].replace("nistp256", "brainpoolP256r1")
        ring.ok("--gen-key", stdin=f"{brainpool}Name-Real: X\n%no-protection\n%commit\n".encode())
        with pytest.raises(KeyRefused) as caught:
            read_secret(ring.ok("--export-secret-keys"), None, NOW + DAY)
        assert caught.value.reason is Refusal.CANNOT_ENCRYPT
