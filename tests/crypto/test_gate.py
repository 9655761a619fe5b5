"""The recipient gate against the policy keys and injections that libraries fall for."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from e2email_crypto.cert import SubkeyState, inspect_cert
from e2email_crypto.errors import BadKey, KeyRefused, Refusal
from e2email_crypto.gate import recipient
from e2email_crypto.packets import message_key_ids
from e2email_crypto.seal import seal
from support import forge
from support.forge import DAY, NOW, Cv25519, Ed25519, Forged, Rsa, person


def refusal(cert: bytes, now: int = NOW) -> Refusal:
    with pytest.raises(KeyRefused) as caught:
        recipient(cert, now)
    return caught.value.reason


def sealed_to(cert: bytes) -> frozenset[str]:
    return message_key_ids(seal(b"text", [recipient(cert, NOW)]))


def test_good_key() -> None:
    key = person()
    got = recipient(key.cert, NOW)
    assert got.fingerprint == key.primary.fingerprint
    assert got.key_ids == {key.subkeys[0][0].key_id} == sealed_to(key.cert)
    assert got.good_until is None


# --- the policy keys -------------------------------------------------------------------------


def expired_subkey() -> Forged:
    key = Forged()
    key.add(lifetime=10 * DAY)
    return key


def revoked_subkey() -> Forged:
    key = person()
    key.revoke(0, created=NOW - DAY)
    return key


def expired_primary() -> Forged:
    key = person()
    key.self_sig = forge.self_signature(key.primary, key.user_id, lifetime=10 * DAY)
    return key


def revoked_primary(reason: int) -> Forged:
    key = person()
    key.direct = key.revocation(reason)
    return key


def sign_only_rsa_subkey() -> Forged:
    key = Forged()
    subkey = Rsa(2048)
    back = forge.signature(subkey, 0x19, key.primary.hashed() + subkey.hashed())
    embedded = b"\xff" + (len(back) - 6 + 1).to_bytes(4) + b"\x20" + back[6:]
    key.subkeys.append((subkey, forge.binding(key.primary, subkey, forge.SIGN, unhashed=embedded)))
    return key


def sha1_self_signatures() -> Forged:
    key = Forged()
    key.self_sig = forge.self_signature(key.primary, key.user_id, hash_name="sha1")
    key.add(hash_name="sha1")
    return key


def sha1_binding() -> Forged:
    key = Forged()
    key.add(hash_name="sha1")
    return key


def rsa_1024() -> Forged:
    key = Forged(primary=Rsa(1024))
    key.add(Rsa(1024))
    return key


def rsa_1024_subkey() -> Forged:
    key = Forged()
    key.add(Rsa(1024))
    return key


def from_the_future() -> Forged:
    key = Forged(primary=Ed25519(NOW + DAY))
    key.add()
    return key


def subkey_from_the_future() -> Forged:
    key = Forged()
    key.add(Cv25519(NOW + DAY))
    return key


def no_subkey() -> Forged:
    return Forged()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (expired_subkey, Refusal.EXPIRED),
        (revoked_subkey, Refusal.REVOKED),
        (expired_primary, Refusal.EXPIRED),
        (lambda: revoked_primary(0), Refusal.REVOKED),
        (lambda: revoked_primary(2), Refusal.REVOKED),
        (lambda: revoked_primary(3), Refusal.REVOKED),
        (sign_only_rsa_subkey, Refusal.CANNOT_ENCRYPT),
        (sha1_self_signatures, Refusal.WEAK),
        (sha1_binding, Refusal.WEAK),
        (rsa_1024, Refusal.WEAK),
        (rsa_1024_subkey, Refusal.WEAK),
        (from_the_future, Refusal.NOT_YET_VALID),
        (subkey_from_the_future, Refusal.NOT_YET_VALID),
        (no_subkey, Refusal.CANNOT_ENCRYPT),
    ],
)
def test_policy_key_is_refused(make: Callable[[], Forged], reason: Refusal) -> None:
    assert refusal(make().cert) == reason


def test_expired_and_new_subkey_seals_to_the_new_one() -> None:
    key = expired_subkey()
    new = key.add()
    assert sealed_to(key.cert) == {new.key_id}


def test_revoked_and_new_subkey_seals_to_the_new_one() -> None:
    key = revoked_subkey()
    new = key.add()
    assert sealed_to(key.cert) == {new.key_id}


def test_a_subkey_revoked_with_sha1_gets_no_mail() -> None:
    key = person()
    key.revoke(0, created=NOW - DAY, hash_name="sha1")
    assert refusal(key.cert) == Refusal.CANNOT_ENCRYPT
    new = key.add()
    assert sealed_to(key.cert) == {new.key_id}
    assert recipient(key.cert, NOW).key_ids == {new.key_id}


def test_a_primary_key_that_encrypts_is_refused() -> None:
    key = Forged(primary=Rsa(2048))
    key.self_sig = forge.self_signature(key.primary, key.user_id, flags=0x0F)
    key.add()
    assert refusal(key.cert) == Refusal.CANNOT_ENCRYPT


def test_two_live_subkeys_are_both_sealed_to() -> None:
    key = person()
    second = key.add()
    assert sealed_to(key.cert) == {key.subkeys[0][0].key_id, second.key_id}


def test_rsa_2048_is_accepted() -> None:
    key = Forged(primary=Rsa(2048))
    subkey = key.add(Rsa(2048))
    assert sealed_to(key.cert) == {subkey.key_id}


@pytest.mark.parametrize("flags", [0x04, 0x08])
def test_a_subkey_for_transport_or_for_storage_is_enough(flags: int) -> None:
    key = Forged()
    subkey = key.add(flags=flags)
    assert sealed_to(key.cert) == {subkey.key_id}


def test_good_until_is_the_nearest_expiry() -> None:
    key = Forged()
    key.self_sig = forge.self_signature(key.primary, key.user_id, lifetime=90 * DAY)
    key.add(lifetime=40 * DAY)
    key.add(lifetime=50 * DAY)
    got = recipient(key.cert, NOW)
    assert got.good_until == key.primary.created + 40 * DAY
    after = recipient(key.cert, got.good_until)
    assert after.key_ids == {key.subkeys[1][0].key_id}
    assert refusal(key.cert, key.primary.created + 91 * DAY) == Refusal.EXPIRED


def test_a_newer_binding_replaces_an_older_one() -> None:
    key = Forged()
    subkey = Cv25519()
    old = forge.binding(key.primary, subkey, lifetime=10 * DAY, created=NOW - 20 * DAY)
    new = forge.binding(key.primary, subkey, lifetime=90 * DAY, created=NOW - 10 * DAY)
    key.subkeys = [(subkey, old + new)]
    assert sealed_to(key.cert) == {subkey.key_id}
    shortened = forge.binding(key.primary, subkey, lifetime=25 * DAY, created=NOW - 5 * DAY)
    key.subkeys = [(subkey, shortened + new + old)]
    assert refusal(key.cert) == Refusal.EXPIRED


# --- injections ------------------------------------------------------------------------------


def attacker_subkey(signatures: Callable[[Forged, Cv25519], bytes]) -> tuple[Forged, str]:
    """A victim's certificate with an attacker's subkey *before* the victim's own."""
    victim, evil = person(), Cv25519()
    own = victim.subkeys[0][0].key_id
    victim.subkeys.insert(0, (evil, signatures(victim, evil)))
    return victim, own


def damaged(signature: bytes) -> bytes:
    return signature[:-5] + bytes([signature[-5] ^ 1]) + signature[-4:]


INJECTIONS: dict[str, Callable[[Forged, Cv25519], bytes]] = {
    "victim's binding copied": lambda victim, _: victim.subkeys[0][1],
    "binding by the attacker's primary": lambda _, evil: forge.binding(Ed25519(), evil),
    "no signature": lambda *_: b"",
    "binding damaged": lambda victim, evil: damaged(forge.binding(victim.primary, evil)),
}


@pytest.mark.parametrize("how", INJECTIONS)
def test_an_injected_subkey_gets_no_mail(how: str) -> None:
    victim, own = attacker_subkey(INJECTIONS[how])
    assert sealed_to(victim.cert) == {own}
    state = inspect_cert(victim.cert, NOW).subkeys[0].state
    assert state is SubkeyState.UNBOUND


@pytest.mark.parametrize("how", INJECTIONS)
def test_an_injected_subkey_alone_is_refused(how: str) -> None:
    victim, _ = attacker_subkey(INJECTIONS[how])
    victim.subkeys.pop()
    assert refusal(victim.cert) == Refusal.FORGED_BINDING


def test_a_binding_claiming_the_victim_as_issuer() -> None:
    victim, evil, attacker = person(), Cv25519(), Ed25519()
    attacker.fingerprint, attacker.key_id = victim.primary.fingerprint, victim.primary.key_id
    over = victim.primary.hashed() + evil.hashed()
    made = forge.signature(attacker, 0x18, over, forge.sub(27, b"\x0c"))
    victim.subkeys = [(evil, made)]
    assert refusal(victim.cert) == Refusal.FORGED_BINDING


def test_a_swapped_user_id_is_refused() -> None:
    key = person()
    key.self_sig = forge.self_signature(key.primary, key.user_id)
    key.user_id = b"Evil <evil@example.org>"
    assert refusal(key.cert) == Refusal.FORGED_BINDING
    assert inspect_cert(key.cert, NOW).user_ids == ()


def test_unhashed_subpackets_cannot_make_a_signing_subkey_encrypt() -> None:
    key = Forged()
    key.add(flags=0, unhashed=forge.sub(27, bytes([forge.ENCRYPT])))
    assert refusal(key.cert) == Refusal.CANNOT_ENCRYPT


def test_unhashed_subpackets_cannot_make_an_expired_subkey_live() -> None:
    key = Forged()
    longer = forge.sub(9, forge.time4(100 * DAY)) + forge.sub(2, forge.time4(NOW - DAY))
    key.add(lifetime=10 * DAY, unhashed=longer)
    assert refusal(key.cert) == Refusal.EXPIRED


def test_a_foreign_revocation_does_not_revoke() -> None:
    key, other = person(), Ed25519()
    subkey, signatures = key.subkeys[0]
    foreign = forge.binding(other, subkey, 0, kind=0x28, created=NOW - DAY)
    key.subkeys[0] = (subkey, foreign + signatures)
    assert sealed_to(key.cert) == {subkey.key_id}


def test_every_single_bit_flip_never_redirects_mail() -> None:
    """Whatever bit of a certificate changes, mail goes to the true subkey or to nobody."""
    key = person()
    cert, true = key.cert, {key.subkeys[0][0].key_id}
    refused = 0
    for position in range(len(cert) * 8):
        flipped = bytearray(cert)
        flipped[position // 8] ^= 1 << position % 8
        try:
            assert recipient(bytes(flipped), NOW).key_ids == true, position
        except KeyRefused:
            refused += 1
    assert refused > len(cert) * 6  # only unhashed octets and length forms may change freely


def two_rsa() -> Forged:
    key = Forged(primary=Rsa(2048))
    key.add(Rsa(2048))
    return key


@pytest.mark.parametrize("make", [person, two_rsa], ids=["Curve25519", "RSA"])
def test_random_damage_never_redirects_mail(make: Callable[[], Forged]) -> None:
    key, chance = make(), random.Random(7)
    cert, true = key.cert, {k.key_id for k, _ in key.subkeys}
    for _ in range(400):
        octets = bytearray(cert)
        for _ in range(chance.randrange(1, 5)):
            at, size = chance.randrange(len(octets)), chance.randrange(4)
            octets[at : at + size] = chance.randbytes(chance.randrange(4))
        with contextlib.suppress(KeyRefused):
            assert recipient(bytes(octets), NOW).key_ids <= true


# --- caps and shapes -------------------------------------------------------------------------


def test_64_kib_and_one_octet() -> None:
    key = person()
    attribute = forge.packet(17, b"\0" * (64 * 1024 - len(key.cert) - 6))
    assert sealed_to(key.cert + attribute) == {key.subkeys[0][0].key_id}
    assert refusal(key.cert + attribute + b"\0") == Refusal.TOO_BIG


def test_64_packets_and_one() -> None:
    key = person()
    filler = forge.packet(13, b"x") * 59
    assert sealed_to(key.cert + filler) == {key.subkeys[0][0].key_id}
    assert refusal(key.cert + filler + forge.packet(13, b"x")) == Refusal.TOO_MANY_PACKETS


def test_a_secret_key_is_refused_as_such() -> None:
    assert refusal(person().tsk) == Refusal.SECRET_KEY


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\0",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n",
        b"\xff" * 1000,
        forge.packet(13, b"user id first"),
        forge.packet(6, b"\x04"),
        forge.packet(6, b"\x03" + b"\0" * 20),
    ],
)
def test_unreadable(octets: bytes) -> None:
    assert refusal(octets) == Refusal.UNREADABLE
    with pytest.raises(BadKey):
        inspect_cert(octets, NOW)


def test_a_key_of_no_algorithm() -> None:
    assert refusal(forge.packet(6, b"\x04" + b"\0" * 20)) == Refusal.CANNOT_ENCRYPT


def test_two_certificates_in_one_are_refused() -> None:
    assert refusal(person().cert + person().cert) == Refusal.UNREADABLE


def test_every_truncation_is_refused_or_harmless() -> None:
    key = person()
    for end in range(len(key.cert)):
        assert isinstance(refusal(key.cert[:end]), Refusal)


def test_the_reduced_certificate_holds_nothing_else() -> None:
    key = expired_subkey()
    new = key.add()
    attribute = forge.packet(17, b"picture") + forge.packet(12, b"trust")
    reduced = recipient(key.cert + attribute, NOW).reduced
    only = replace(key, subkeys=key.subkeys[1:])
    assert reduced == only.cert
    assert new.body in reduced


def test_inspect_tells_states_and_valid_user_ids() -> None:
    key = expired_subkey()
    key.add()
    info = inspect_cert(key.cert, NOW)
    assert [s.state for s in info.subkeys] == [SubkeyState.EXPIRED, SubkeyState.USABLE]
    assert info.subkeys[0].expires == key.primary.created + 10 * DAY
    assert info.user_ids == ("Ann <ann@example.org>",)
    assert (info.version, info.created, info.revoked) == (4, key.primary.created, False)
    revoked = inspect_cert(revoked_primary(0).cert, NOW)
    assert revoked.revoked
