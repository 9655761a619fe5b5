"""Verdicts over detached signatures: values for everything, also for hostile octets."""

import os
from collections.abc import Callable

import pytest

from e2email_crypto.cert import verify_signed_by
from e2email_crypto.errors import SignatureInvalid
from e2email_crypto.keyedit import new_identity, sign_detached
from e2email_crypto.verify import SignatureState, SignatureVerdict, verify_detached
from support import forge, gpg
from support.forge import DAY, NOW, SOON, Ed25519, Forged, Rsa, person

DATA = b"the octets that were signed\r\n"


def signed(key: Forged, signer: forge.Key | None = None, **options: object) -> bytes:
    options.setdefault("created", NOW - 3600)
    return forge.signature(signer or key.primary, options.pop("kind", 0), DATA, **options)


def verdict(signature: bytes, *certs: bytes, data: bytes = DATA) -> SignatureVerdict:
    return verify_detached(data, signature, certs, NOW)


def with_signing_subkey() -> tuple[Forged, Ed25519]:
    key, subkey = person(), Ed25519()
    back = forge.signature(subkey, 0x19, key.primary.hashed() + subkey.hashed())
    embedded = b"\xff" + (len(back) - 6 + 1).to_bytes(4) + b"\x20" + back[6:]
    bound = forge.binding(key.primary, subkey, forge.SIGN, unhashed=embedded)
    key.subkeys.append((subkey, bound))
    return key, subkey


def test_valid_by_the_primary_key() -> None:
    key = person()
    got = verdict(signed(key), person().cert, key.cert)
    assert got == SignatureVerdict(
        SignatureState.VALID, key.primary.fingerprint, key.primary.fingerprint, NOW - 3600
    )


def test_valid_by_a_signing_subkey() -> None:
    key, subkey = with_signing_subkey()
    got = verdict(signed(key, subkey), key.cert)
    assert (got.state, got.fingerprint) == (SignatureState.VALID, key.primary.fingerprint)
    assert got.key_hint == subkey.fingerprint


def test_valid_text_signature() -> None:
    key = person()
    assert verdict(signed(key, kind=1), key.cert).state is SignatureState.VALID


def test_unknown_signer_tells_whom_to_look_for() -> None:
    key = person()
    got = verdict(signed(key), person().cert, b"no certificate")
    assert got.state is SignatureState.UNKNOWN_SIGNER
    assert (got.fingerprint, got.key_hint) == ("", key.primary.fingerprint)


def test_invalid() -> None:
    key = person()
    assert verdict(signed(key), key.cert, data=DATA + b"x").state is SignatureState.INVALID
    damaged = bytearray(signed(key))
    damaged[-5] ^= 1
    assert verdict(bytes(damaged), key.cert).state is SignatureState.INVALID


def test_a_signature_claiming_another_as_its_maker() -> None:
    victim, attacker = person(), Ed25519()
    attacker.fingerprint, attacker.key_id = victim.primary.fingerprint, victim.primary.key_id
    assert verdict(signed(victim, attacker), victim.cert).state is SignatureState.INVALID


def expired() -> Forged:
    key = person()
    key.self_sig = forge.self_signature(key.primary, key.user_id, lifetime=10 * DAY)
    return key


def revoked() -> Forged:
    key = person()
    key.direct = key.revocation(2)
    return key


def sha1_bound() -> Forged:
    key = Forged()
    key.self_sig = forge.self_signature(key.primary, key.user_id, hash_name="sha1")
    return key


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda: Forged(primary=Rsa(2048)), {"hash_name": "sha1"}),
        (person, {"hash_name": "sha1"}),
        (lambda: Forged(primary=Rsa(1024)), {"hash_name": "sha512"}),
        (sha1_bound, {}),
        (expired, {}),
        (revoked, {}),
        (person, {"created": NOW + DAY}),
        (person, {"hashed": forge.sub(3, forge.time4(60))}),
    ],
    ids=[
        "SHA-1, RSA", "SHA-1, Ed25519", "RSA-1024", "SHA-1 self-signature",
        "signed after expiry", "revoked", "from the future", "signature expired",
    ],
)  # fmt: skip
def test_refused_by_policy(make: Callable[[], Forged], options: dict[str, object]) -> None:
    key = make()
    assert verdict(signed(key, **options), key.cert).state is SignatureState.REFUSED_POLICY


def test_a_signature_from_before_the_expiry_stays_valid() -> None:
    key = expired()
    got = verdict(signed(key, created=key.primary.created + DAY), key.cert)
    assert got.state is SignatureState.VALID


def test_a_signature_by_the_encryption_subkey_or_a_sign_less_primary() -> None:
    key = person()
    key.self_sig = forge.self_signature(key.primary, key.user_id, flags=forge.CERTIFY)
    assert verdict(signed(key), key.cert).state is SignatureState.REFUSED_POLICY


def test_a_signing_subkey_injected_without_back_signature() -> None:
    """The victim claims another's subkey: without a back signature that proves nothing."""
    key, other = person(), Ed25519()
    key.subkeys.append((other, forge.binding(key.primary, other, forge.SIGN)))
    assert verdict(signed(key, other), key.cert).state is SignatureState.REFUSED_POLICY


def test_a_signature_that_names_no_key() -> None:
    nameless = forge.packet(2, b"\4\0\x16\x0a" + bytes(100))
    assert verdict(nameless, person().cert).state is SignatureState.UNKNOWN_SIGNER


HOSTILE = {
    "empty": b"",
    "junk": os.urandom(200),
    "not a signature": forge.packet(13, b"user id"),
    "of version 3": forge.packet(2, b"\3\5\0" + bytes(100)),
    "cut": signed(person())[:40],
    "huge": forge.packet(2, bytes(70_000)),
    "long length": b"\xc2\xff\xff\xff\xff\xff",
    "armored": b"-----BEGIN PGP SIGNATURE-----\n\n",
    "two": signed(person()) * 2,
    "over a user id": forge.self_signature(Ed25519(), b"x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_octets_are_invalid(name: str) -> None:
    assert verdict(HOSTILE[name], person().cert).state is SignatureState.INVALID


def test_every_bit_flip_and_cut_is_a_value_and_only_loose_octets_stay_valid() -> None:
    key = person()
    signature = signed(key)
    loose = valid = 0
    for position in range(len(signature) * 8):
        octets = bytearray(signature)
        octets[position // 8] ^= 1 << position % 8
        valid += verdict(bytes(octets), key.cert).state is SignatureState.VALID
        loose += 1
    assert valid < loose // 8  # the unhashed area names the key id only
    for end in range(len(signature)):
        assert verdict(signature[:end], key.cert).state is SignatureState.INVALID


@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_sign_detached_and_its_counterpart(profile) -> None:
    ann = new_identity("ann@example.org", "Ann", NOW, profile)
    signature = sign_detached(ann.tsk, DATA)
    verify_signed_by(ann.cert, DATA, signature)
    assert verify_detached(DATA, signature, [ann.cert], SOON).state is SignatureState.VALID
    for data, wrong, cert in (
        (DATA + b"x", signature, ann.cert),
        (DATA, signature[:-1], ann.cert),
        (DATA, signature + b"\0", ann.cert),
        (DATA, b"", ann.cert),
        (DATA, signature, person().cert),
        (DATA, signature, b""),
        (DATA, signature, ann.tsk),
    ):
        with pytest.raises(SignatureInvalid):
            verify_signed_by(cert, data, wrong)


def test_a_statement_is_for_the_primary_key_only() -> None:
    key, subkey = with_signing_subkey()
    verify_signed_by(key.cert, DATA, signed(key))
    with pytest.raises(SignatureInvalid):
        verify_signed_by(key.cert, DATA, signed(key, subkey))


def test_a_statement_is_of_binary_octets_only() -> None:
    key = person()
    with pytest.raises(SignatureInvalid):
        verify_signed_by(key.cert, DATA, signed(key, kind=1))


@pytest.mark.parametrize("make", [expired, revoked, sha1_bound])
def test_a_statement_by_a_bad_key(make: Callable[[], Forged]) -> None:
    key = make()
    with pytest.raises(SignatureInvalid):
        verify_signed_by(key.cert, DATA, signed(key))


def test_a_statement_from_before_the_expiry_stays_valid() -> None:
    key = expired()
    verify_signed_by(key.cert, DATA, signed(key, created=key.primary.created + DAY))


def test_gpg_agrees() -> None:
    ann = new_identity("ann@example.org", "Ann", NOW)
    with gpg.keyring() as ring:
        ring.ok("--import", stdin=ann.tsk)
        made = ring.ok("-u", ann.fingerprint, "--detach-sign", stdin=DATA)
        assert verify_detached(DATA, made, [ann.cert], SOON).state is SignatureState.VALID
        path = f"{ring.home}/sig"
        with open(path, "wb") as file:
            file.write(sign_detached(ann.tsk, DATA))
        ring.ok("--verify", path, "-", stdin=DATA)
