"""New identities: what they say of themselves, and that everybody can use them."""

from dataclasses import replace

import pytest

from e2email_crypto import _rpgp, _sequoia, identity, keyedit, packets, secretpacket
from e2email_crypto.cert import inspect_cert
from e2email_crypto.errors import BadKey, KeyRefused, Refusal
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import Identity, new_identity, sign_detached
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from support import gpg
from support.forge import DAY, NOW, SOON


@pytest.fixture(scope="module", params=["compat", "modern"])
def ann(request: pytest.FixtureRequest) -> Identity:
    return new_identity("ann@example.org", "Ann Exämple", NOW - DAY, request.param)


def subpackets(signature: bytes) -> dict[int, bytes]:
    """The hashed subpackets of a version 4 signature body, all with one length octet."""
    size = int.from_bytes(signature[4:6])
    area, found = signature[6 : 6 + size], {}
    while area:
        length = area[0]
        found[area[1] & 0x7F] = area[2 : 1 + length]
        area = area[1 + length :]
    return found


def test_it_says_what_was_asked(ann: Identity) -> None:
    info = inspect_cert(ann.cert, SOON)
    assert info.fingerprint == ann.fingerprint
    assert info.user_ids == ("Ann Exämple <ann@example.org>",)
    assert (info.created, info.expires) == (NOW - DAY, None)
    assert [s.expires for s in info.subkeys] == [None]
    assert recipient(ann.cert, SOON).good_until is None


def test_compat_is_for_everybody() -> None:
    ann = new_identity("ann@example.org", "Ann", NOW)
    found = packets.split(ann.cert, 9)
    assert [p.tag for p in found] == [6, 13, 2, 14, 2]
    assert [packets.key_facts(p.body).algorithm for p in (found[0], found[3])] == [22, 18]
    said = subpackets(found[2].body)
    assert said[27] == b"\x03"  # certify, sign
    assert said[11] == b"\x09\x07"  # AES-256, AES-128
    assert said[21] == b"\x0a\x08"  # SHA-512, SHA-256
    assert said[22] == b"\x00"  # uncompressed
    assert said[30] == b"\x01"  # SEIPD version 1 only
    assert 9 not in said  # never expires
    assert subpackets(found[4].body)[27] == b"\x0c"
    assert {found[2].body[3], found[4].body[3]} == {10}


def test_modern_is_version_6() -> None:
    ann = new_identity("ann@example.org", "Ann", NOW, "modern")
    info = inspect_cert(ann.cert, SOON)
    assert (info.version, len(info.fingerprint)) == (6, 64)
    message = seal(b"x", [recipient(ann.cert, SOON)])
    assert packets.parse_message(message).version == 2


def test_the_secret_key_opens_and_is_unprotected(ann: Identity) -> None:
    with OpenWorker(ann.tsk) as worker:
        message = seal(b"text", [recipient(ann.cert, SOON)])
        assert worker.open(message).plaintext == b"text"


def test_the_revocation_revokes(ann: Identity) -> None:
    assert recipient(ann.cert, SOON)
    primary = packets.split(ann.cert, 9)[0].raw
    with pytest.raises(KeyRefused) as caught:
        recipient(primary + ann.revocation + ann.cert[len(primary) :], SOON)
    assert caught.value.reason is Refusal.REVOKED


def test_repr_tells_no_secret(ann: Identity) -> None:
    assert repr(ann) == f"Identity({ann.fingerprint}, …)"
    assert "key" not in repr(_rpgp.SecretKey(ann.tsk)).replace("SecretKey", "")


def test_many_keys_all_work() -> None:
    """Short numbers appear in one key of some hundred; each key is proved as it is made."""
    for _ in range(200):
        new_identity("ann@example.org", "", NOW)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("", "Ann"),
        ("ann", "Ann"),
        ("@example.org", "Ann"),
        ("ann@", "Ann"),
        ("ann@example.org>", "Ann"),
        ("ann @example.org", "Ann"),
        ("ann@example.org\n", "Ann"),
        ("a" * 250 + "@example.org", "Ann"),
        ("ann@example.org", "Ann <ben@example.org>"),
        ("ann@example.org", "Ann\r\nBcc: x"),
        ("ann@example.org", "Ann\x1b[2J"),
        ("ann@example.org", "Ann\u202e"),
        ("ann@example.org", "Ann (admin)"),
        ("ann@example.org", " Ann"),
        ("ann@example.org", "A" * 201),
        ("ann@example.org", "\ud800"),
    ],
)
@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_unusable_user_ids(address: str, name: str, profile) -> None:
    with pytest.raises(BadKey):
        new_identity(address, name, NOW, profile)


def exchanged(one: bytes, other: bytes) -> bytes:
    """A secret key whose subkey's secret is another key's: what KOpenPGP does."""
    first, second = (packets.split(tsk, 9) for tsk in (one, other))
    (at,) = (i for i, p in enumerate(first) if p.tag == packets.SECRET_SUBKEY)
    public, secret = secretpacket.parse(first[at]), secretpacket.parse(second[at])
    mixed = replace(public, rest=secret.rest).raw()
    return b"".join([*(p.raw for p in first[:at]), mixed, *(p.raw for p in first[at + 1 :])])


def test_a_library_that_makes_a_bad_key_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (new_identity("ann@example.org", "Ann", NOW, "modern") for _ in range(2))
    for made in (exchanged(one.tsk, other.tsk), one.tsk[:-1], one.cert):
        monkeypatch.setattr(_rpgp, "new_v6", lambda *_, made=made: made)
        with pytest.raises(BadKey):
            new_identity("ann@example.org", "Ann", NOW, "modern")
    monkeypatch.setattr(_rpgp, "new_v6", lambda *_: one.tsk)
    with pytest.raises(BadKey):
        new_identity("ben@example.org", "Ben", NOW, "modern")
    (wrong,) = packets.split(other.revocation, 1)
    monkeypatch.setattr(identity, "revocation", lambda *_: wrong)
    with pytest.raises(BadKey):
        new_identity("ann@example.org", "Ann", NOW, "modern")


@pytest.mark.parametrize("tsk", [b"", b"junk"])
def test_signing_needs_a_secret_key(tsk: bytes) -> None:
    with pytest.raises(BadKey):
        sign_detached(tsk, b"data")


def test_gpg_imports_and_uses_a_compat_identity() -> None:
    ann = new_identity("ann@example.org", "Ann", NOW - DAY)
    with gpg.keyring() as ring:
        ring.ok("--import", stdin=ann.tsk)
        listed = ring.ok("--with-colons", "--list-secret-keys").decode()
        assert f"fpr:::::::::{ann.fingerprint}:" in listed
        sealed = seal(b"text", [recipient(ann.cert, SOON)])
        assert ring.ok("--decrypt", stdin=sealed) == b"text"
        ring.ok("--import", stdin=ann.revocation)
        assert "pub:r:" in ring.ok("--with-colons", "--list-keys").decode()


def test_pgpy_drops_feature_bits_it_does_not_know() -> None:
    """Why no key that PGPy did not make is ever saved by it: this one would come out broken."""
    import pgpy

    tsk = bytes(_sequoia.pysequoia.Tsk.generate("Ann <ann@example.org>"))
    loaded, _ = pgpy.PGPKey.from_blob(tsk)
    saved = bytes(loaded)
    assert saved != tsk, "PGPy has been mended: think again about the rules for it"
    public = bytes(loaded.pubkey)
    with pytest.raises(KeyRefused):
        recipient(public, NOW)


def test_pgpy_keeps_the_keys_we_make_with_it() -> None:
    import pgpy

    ann = new_identity("ann@example.org", "Ann", NOW)
    loaded, _ = pgpy.PGPKey.from_blob(ann.tsk)
    assert bytes(loaded) == ann.tsk
    assert bytes(loaded.pubkey) == ann.cert


def test_profile_is_one_of_two() -> None:
    assert keyedit.Profile.__args__ == ("compat", "modern")
