"""Two copies of one certificate put together, and what is published of one."""

import contextlib
import random

import pytest

from e2email_crypto import packets
from e2email_crypto.cert import (
    MAX_CERT,
    SubkeyState,
    inspect_cert,
    merge,
    minimal,
    names,
    publishable,
)  # fmt: skip
from e2email_crypto.errors import BadKey, CryptoError, KeyRefused, OtherKey, Refusal
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import (
    Edited,
    Reason,
    add_address,
    extend,
    new_identity,
    revoke,
    revoke_address,
    rotate_encryption,
)  # fmt: skip
from support import forge
from support.forge import DAY, NOW, Ed25519, Forged, person

ANN, BEN = "ann@example.org", "ben@example.org"


@pytest.fixture(scope="module")
def life() -> list[bytes]:
    """The certificates of a key, one after each edit."""
    one = new_identity(ANN, "Ann", NOW - 100 * DAY)
    two = add_address(one.tsk, BEN, "Ben", NOW - 90 * DAY)
    three = extend(two.tsk, NOW + 9 * DAY, NOW - 80 * DAY)
    four = rotate_encryption(three.tsk, NOW - 70 * DAY)
    five = revoke_address(four.tsk, BEN, NOW - 60 * DAY)
    return [one.cert, *(e.cert for e in (two, three, four, five))]


def raws(cert: bytes) -> set[bytes]:
    return {p.raw for p in packets.split(cert, 2000)}


def refusal(old: bytes, new: bytes) -> Refusal:
    with pytest.raises(KeyRefused) as caught:
        merge(old, new)
    return caught.value.reason


# --- merging ---------------------------------------------------------------------------------


def test_any_two_copies_give_the_newest(life: list[bytes]) -> None:
    for at, old in enumerate(life):
        for later, new in enumerate(life):
            assert merge(old, new) == life[max(at, later)]


def test_edits_on_two_machines_come_together() -> None:
    key = new_identity(ANN, "Ann", NOW - 100 * DAY)
    here = add_address(key.tsk, BEN, "Ben", NOW - 2 * DAY)
    there = rotate_encryption(key.tsk, NOW - DAY)
    both = merge(here.cert, there.cert)
    assert raws(both) == raws(here.cert) | raws(there.cert) == raws(merge(there.cert, here.cert))
    info = inspect_cert(both, NOW)
    assert len(info.user_ids) == 2
    assert [s.state for s in info.subkeys] == [SubkeyState.REVOKED, SubkeyState.USABLE]


def test_an_old_copy_does_not_take_a_revocation_back() -> None:
    key = new_identity(ANN, "Ann", NOW - 100 * DAY)
    gone: Edited = revoke(key.tsk, Reason.COMPROMISED, NOW - DAY)
    newer = extend(key.tsk, None, NOW)
    for old, new in ((gone.cert, newer.cert), (newer.cert, gone.cert)):
        with pytest.raises(KeyRefused) as caught:
            recipient(merge(old, new), NOW)
        assert caught.value.reason is Refusal.REVOKED


def test_certificates_of_two_keys_are_not_merged(life: list[bytes]) -> None:
    with pytest.raises(OtherKey):
        merge(life[0], person().cert)


def test_what_cannot_be_read_is_named(life: list[bytes]) -> None:
    assert refusal(life[0], b"junk") is Refusal.UNREADABLE
    assert refusal(life[0], person().tsk) is Refusal.SECRET_KEY
    assert refusal(life[0], b"\xc6" * (MAX_CERT + 1)) is Refusal.TOO_BIG
    assert refusal(life[0], life[0] + forge.packet(13, b"x") * 70) is Refusal.TOO_MANY_PACKETS


def attacker(key: Forged) -> Ed25519:
    evil = Ed25519()
    evil.fingerprint, evil.key_id = key.primary.fingerprint, key.primary.key_id
    return evil


def test_nothing_that_the_key_did_not_sign_comes_in() -> None:
    key = person()
    evil = Forged(primary=key.primary, user_id=b"Evil <evil@example.org>")
    evil.self_sig = forge.self_signature(attacker(key), evil.user_id)
    evil.direct = forge.signature(attacker(key), 0x20, key.primary.hashed())
    subkey = forge.Cv25519()
    evil.subkeys = [
        (subkey, forge.binding(attacker(key), subkey)),
        (forge.Cv25519(), key.subkeys[0][1]),
        (key.subkeys[0][0], forge.binding(attacker(key), key.subkeys[0][0], kind=0x28)),
    ]
    assert merge(key.cert, evil.cert) == key.cert


def test_a_signature_with_other_unhashed_octets_is_the_same_signature() -> None:
    key = person()
    found = packets.split(key.cert, 9)
    sig = found[2].body
    size = int.from_bytes(sig[4:6])
    at = 6 + size
    loose = int.from_bytes(sig[at : at + 2])
    note = forge.sub(20, b"\0" * 8)
    grown = sig[:at] + (loose + len(note)).to_bytes(2) + note + sig[at + 2 :]
    other = b"".join(forge.packet(2, grown) if p is found[2] else p.raw for p in found)
    assert merge(key.cert, other) == key.cert


def certified(key: Forged, count: int) -> bytes:
    over = key.primary.hashed() + b"\xb4" + len(key.user_id).to_bytes(4) + key.user_id
    return b"".join(forge.signature(Ed25519(), 0x10, over) for _ in range(count))


def test_other_peoples_certifications_stay_while_there_is_room() -> None:
    key = person()
    own = forge.self_signature(key.primary, key.user_id)
    friends = certified(key, 10)
    key.self_sig = own + friends
    few = key.cert
    key.self_sig = own
    assert raws(merge(key.cert, few)) == raws(few)
    assert not inspect_cert(few, NOW).forged
    key.self_sig = own + certified(key, 55)
    many = key.cert
    key.self_sig = own
    assert merge(few, many) == key.cert


def test_above_the_caps_friends_go_first_then_what_is_superseded() -> None:
    key = person()
    times = [NOW - 29 * DAY + i for i in range(50)]
    own = [forge.self_signature(key.primary, key.user_id, created=t) for t in times]
    key.self_sig = b"".join(own[:40]) + certified(key, 8)
    first = key.cert
    key.self_sig = b"".join(own[40:]) + certified(key, 8)
    assert raws(merge(first, key.cert)) == raws(person_with(key, own).cert)
    times = [NOW - 9 * DAY + i for i in range(40)]
    more = [forge.self_signature(key.primary, key.user_id, created=t) for t in times]
    subkey, bound = key.subkeys[0]
    key.subkeys = [(subkey, forge.binding(key.primary, subkey, 0, kind=0x28, created=NOW) + bound)]
    small = merge(person_with(key, own).cert, person_with(key, more).cert)
    assert len(packets.split(small, 64)) == 64
    assert more[-1] in small
    assert own[0] not in small
    assert inspect_cert(small, NOW).subkeys[0].state is SubkeyState.REVOKED


def person_with(key: Forged, signatures: list[bytes]) -> Forged:
    return Forged(key.primary, key.user_id, key.direct, b"".join(signatures), key.subkeys)


def test_what_is_current_is_never_dropped_for_room() -> None:
    key = person()
    for _ in range(29):
        key.add()
    other = Forged(key.primary, key.user_id, self_sig=key.self_sig)
    for _ in range(10):
        other.add()
    assert refusal(key.cert, other.cert) is Refusal.TOO_MANY_PACKETS


def test_photographs_go_before_anything_of_use() -> None:
    key = person()
    picture = forge.packet(17, b"\0" * 60_000)
    over = key.primary.hashed() + b"\xd1" + (60_000).to_bytes(4) + b"\0" * 60_000
    signed = picture + forge.signature(key.primary, 0x13, over)
    with_picture = key.cert + signed
    assert merge(with_picture, key.cert) == with_picture
    says = forge.sub(27, b"\x03") + forge.sub(20, b"\0\0\0\0\0\x01\0\xb4n" + b"x" * 180)
    key.self_sig = b"".join(
        forge.signature(
            key.primary, 0x13,
            key.primary.hashed() + b"\xb4" + len(key.user_id).to_bytes(4) + key.user_id,
            says, created=NOW - DAY + i,
        )
        for i in range(30)
    )  # fmt: skip
    small = merge(with_picture, key.cert)
    assert picture not in small
    assert raws(key.cert) <= raws(small)


def test_a_weak_revocation_is_kept_and_only_a_few_that_nobody_verified() -> None:
    key = person()
    weak = forge.signature(key.primary, 0x20, key.primary.hashed(), hash_name="sha1")
    gone = Forged(key.primary, key.user_id, weak, key.self_sig, key.subkeys)
    assert weak in merge(key.cert, gone.cert)
    evil = attacker(key)
    junk = b"".join(
        forge.signature(evil, 0x20, key.primary.hashed(), hash_name="sha1", created=NOW - i)
        for i in range(9)
    )
    flood = Forged(key.primary, key.user_id, junk, key.self_sig, key.subkeys)
    assert len(packets.split(merge(key.cert, flood.cert), 64)) == len(raws(key.cert)) + 4


# --- publishing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user_id", "address", "same"),
    [
        ("Ann <ann@example.org>", ANN, True),
        ("<ann@example.org>", ANN, True),
        ("ann@example.org", ANN, True),
        ("Ann <Ann@Example.ORG>", ANN, True),
        ("Ann <ann@example.org> ", ANN, True),
        ("ann@example.org <evil@example.net>", ANN, False),
        ("Ann ann@example.org", ANN, False),
        ("Ann <xann@example.org>", ANN, False),
        ("Ann <ann@example.org>x", ANN, False),
        ("Änn <änn@example.org>", "Änn@example.org", False),
        ("", ANN, False),
    ],
)
def test_whose_address_a_user_id_is(user_id: str, address: str, same: bool) -> None:
    assert names(user_id, address) is same


def test_one_address_is_published_and_nothing_of_the_others(life: list[bytes]) -> None:
    for address, other in ((ANN, b"ben@"), (BEN, b"ann@")):
        shown = publishable(life[3], address)
        assert other not in shown
        assert [names(u, address) for u in inspect_cert(shown, NOW).user_ids] == [True]
        assert [s.state for s in inspect_cert(shown, NOW).subkeys] == [
            SubkeyState.REVOKED, SubkeyState.USABLE,
        ]  # fmt: skip
        assert recipient(shown, NOW).key_ids == recipient(life[3], NOW).key_ids
        assert raws(shown) < raws(life[3])


def test_an_address_that_the_key_has_not_or_no_longer(life: list[bytes]) -> None:
    for cert, address in ((life[0], BEN), (life[4], BEN), (life[4], "x@example.org")):
        with pytest.raises(BadKey):
            publishable(cert, address)


def test_a_revoked_key_is_published_as_revoked() -> None:
    key = new_identity(ANN, "Ann", NOW - DAY)
    gone = revoke(key.tsk, Reason.COMPROMISED, NOW - 9)
    assert inspect_cert(publishable(gone.cert, ANN), NOW).revoked


def test_nothing_that_others_signed_or_nobody_is_published() -> None:
    key = person()
    own = forge.self_signature(key.primary, key.user_id)
    key.self_sig = certified(key, 3) + own
    key.subkeys.append((forge.Cv25519(), b""))
    shown = publishable(key.cert + forge.packet(17, b"picture"), ANN)
    key.self_sig = own
    key.subkeys.pop()
    assert shown == key.cert


def test_the_least_that_mail_can_be_sealed_with(life: list[bytes]) -> None:
    small = minimal(life[3], ANN, NOW)
    assert [p.tag for p in packets.split(small, 9)] == [6, 13, 2, 14, 2]
    assert recipient(small, NOW).key_ids == recipient(life[3], NOW).key_ids
    assert recipient(small, NOW).good_until == NOW + 9 * DAY  # the newest signature's
    assert len(small) < 500


@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_the_least_of_either_profile(profile) -> None:
    key = new_identity(ANN, "Ann", NOW - DAY, profile)
    later = NOW + DAY
    assert recipient(minimal(key.cert, ANN, later), later)
    assert publishable(key.cert, ANN) == key.cert


def test_there_is_no_least_of_a_key_without_encryption() -> None:
    with pytest.raises(KeyRefused) as caught:
        minimal(Forged().cert, ANN, NOW)
    assert caught.value.reason is Refusal.CANNOT_ENCRYPT


def test_damaged_certificates_are_refused_by_an_error_of_ours(life: list[bytes]) -> None:
    chance = random.Random(7)
    for _ in range(150):
        octets = bytearray(chance.choice(life))
        for _ in range(chance.randrange(1, 5)):
            at, size = chance.randrange(len(octets)), chance.randrange(4)
            octets[at : at + size] = chance.randbytes(chance.randrange(5))
        with contextlib.suppress(CryptoError):
            assert raws(life[4]) <= raws(merge(life[4], bytes(octets)))
        with contextlib.suppress(CryptoError):
            merge(bytes(octets), life[4])
        with contextlib.suppress(CryptoError):
            assert recipient(minimal(bytes(octets), ANN, NOW), NOW)
