"""Edits of a user's own key: what is added, what stays, what is refused, by name."""

import time
from collections.abc import Callable

import pytest

from e2email_crypto import _rpgp, keyedit, keyproof, keytree, ownkey, packets, selfsig
from e2email_crypto.cert import CertInfo, SubkeyState, inspect_cert
from e2email_crypto.errors import BadKey, KeyRefused, Refusal, SignatureInvalid
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import (
    Edited,
    Identity,
    Reason,
    add_address,
    apply_revocation,
    extend,
    new_identity,
    revoke,
    revoke_address,
    rotate_encryption,
    sign_detached,
    successor,
)  # fmt: skip
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from support import forge
from support.crypto_keys import added_packets
from support.forge import DAY, NOW, Ed25519, Forged, Rsa, person

BORN = NOW - 100 * DAY
LATER = NOW + DAY  # after the signatures that rpgp stamps with the system's clock


@pytest.fixture(scope="module")
def ann() -> Identity:
    return new_identity("ann@example.org", "Ann", BORN)


@pytest.fixture(scope="module")
def modern() -> Identity:
    return new_identity("ann@example.org", "Ann", BORN, "modern")


def info(cert: bytes, now: int = NOW) -> CertInfo:
    return inspect_cert(cert, now)


def states(cert: bytes, now: int = NOW) -> list[SubkeyState]:
    return [s.state for s in info(cert, now).subkeys]


def raws(octets: bytes) -> list[bytes]:
    return [p.raw for p in packets.split(octets, 64)]


def added(before: bytes, after: bytes) -> list[packets.Packet]:
    return [packet for _, packet in added_packets(before, after)]


def refusal(edit: Callable[[], object]) -> Refusal:
    with pytest.raises(KeyRefused) as caught:
        edit()
    return caught.value.reason


# --- rotation --------------------------------------------------------------------------------


def test_a_rotated_key_takes_new_mail_and_reads_old(ann: Identity) -> None:
    old = seal(b"old", [recipient(ann.cert, NOW)])
    edited = rotate_encryption(ann.tsk, NOW - DAY)
    assert edited.fingerprint == ann.fingerprint
    assert states(edited.cert) == [SubkeyState.REVOKED, SubkeyState.USABLE]
    new = seal(b"new", [recipient(edited.cert, NOW)])
    assert packets.message_key_ids(new) == {info(edited.cert).subkeys[1].key_id}
    with OpenWorker(edited.tsk) as worker:
        assert [worker.open(m).plaintext for m in (old, new)] == [b"old", b"new"]


@pytest.mark.parametrize(("compromised", "reason"), [(False, b"\x01"), (True, b"\x02")])
def test_a_rotation_adds_three_packets(ann: Identity, compromised: bool, reason: bytes) -> None:
    edited = rotate_encryption(ann.tsk, NOW - DAY, compromised=compromised)
    more = added(ann.tsk, edited.tsk)
    assert [p.tag for p in more] == [packets.SIGNATURE, packets.SECRET_SUBKEY, packets.SIGNATURE]
    assert [p.tag for p in added(ann.cert, edited.cert)] == [2, packets.PUBLIC_SUBKEY, 2]
    revoked, bound = (keytree.claims(more[i]) for i in (0, 2))
    assert revoked
    assert (revoked.kind, revoked.first(keytree.REASON)) == (0x28, reason)
    assert bound
    assert (bound.kind, bound.first(keytree.FLAGS)) == (0x18, b"\x0c")
    assert {c.created for c in (revoked, bound)} == {NOW - DAY}


def test_a_key_is_rotated_again_and_again(ann: Identity) -> None:
    tsk, mails = ann.tsk, []
    for round_ in range(5):
        edited = rotate_encryption(tsk, NOW - 10 * DAY + round_)
        mails.append(seal(b"%d" % round_, [recipient(edited.cert, NOW)]))
        tsk = edited.tsk
    assert states(edited.cert) == [SubkeyState.REVOKED] * 5 + [SubkeyState.USABLE]
    with OpenWorker(tsk) as worker:
        assert [worker.open(m).plaintext for m in mails] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_key_whose_subkey_has_expired_is_rotated() -> None:
    key = Forged()
    key.add(lifetime=10 * DAY)
    edited = rotate_encryption(key.tsk, NOW)
    assert states(edited.cert) == [SubkeyState.REVOKED, SubkeyState.USABLE]


def test_a_key_with_several_subkeys_is_rotated_as_a_whole() -> None:
    key = person()
    key.add()
    key.revoke(0, created=NOW - DAY)
    edited = rotate_encryption(key.tsk, NOW)
    assert states(edited.cert) == [SubkeyState.REVOKED, SubkeyState.REVOKED, SubkeyState.USABLE]
    assert len(added(key.tsk, edited.tsk)) == 3  # what was revoked is not revoked once more


def test_signing_subkeys_stay_as_they_are() -> None:
    pysequoia = pytest.importorskip("pysequoia")
    tsk = bytes(pysequoia.Tsk.generate("Ann <ann@example.org>", profile=pysequoia.Profile.RFC4880))
    edited = rotate_encryption(tsk, int(time.time()))
    assert sorted(states(edited.cert, LATER)) == sorted(
        [SubkeyState.NOT_FOR_ENCRYPTION, SubkeyState.REVOKED, SubkeyState.USABLE]
    )
    assert len(added(tsk, edited.tsk)) == 3
    assert not info(edited.cert, LATER).forged


def test_a_modern_key_is_not_rotated(modern: Identity) -> None:
    with pytest.raises(BadKey, match="successor"):
        rotate_encryption(modern.tsk, LATER)


@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_a_successor_has_the_same_user_ids(profile: keyedit.Profile) -> None:
    old = new_identity("ann@example.org", "Ann", BORN, profile)
    two = add_address(old.tsk, "ann@example.net", "Ann", int(time.time()))
    new = successor(two.tsk, int(time.time()))
    assert new.fingerprint != old.fingerprint
    assert info(new.cert, LATER).user_ids == info(two.cert, LATER).user_ids
    assert info(new.cert, LATER).version == info(old.cert, LATER).version
    assert not set(raws(new.cert)) & set(raws(two.cert)) - {
        p.raw for p in packets.split(two.cert, 64) if p.tag == packets.USER_ID
    }


# --- expiry ----------------------------------------------------------------------------------


def test_a_key_gets_an_end_and_loses_it(ann: Identity) -> None:
    ending = extend(ann.tsk, NOW + 30 * DAY, NOW - 2 * DAY)
    assert info(ending.cert).expires == NOW + 30 * DAY == recipient(ending.cert, NOW).good_until
    assert [p.tag for p in added(ann.tsk, ending.tsk)] == [2]
    longer = extend(ending.tsk, None, NOW - DAY)
    assert info(longer.cert).expires is None is recipient(longer.cert, NOW).good_until


def expired() -> Forged:
    key = Forged()
    key.self_sig = forge.self_signature(key.primary, key.user_id, lifetime=20 * DAY)
    key.add(lifetime=5 * DAY)
    key.add(lifetime=20 * DAY)
    return key


def test_an_expired_key_is_extended_with_its_newest_subkey_alone() -> None:
    key = expired()
    assert refusal(lambda: recipient(key.cert, NOW)) is Refusal.EXPIRED
    edited = extend(key.tsk, NOW + 9 * DAY, NOW)
    assert info(edited.cert).expires == NOW + 9 * DAY
    assert states(edited.cert) == [SubkeyState.EXPIRED, SubkeyState.USABLE]
    assert recipient(edited.cert, NOW).good_until == NOW + 9 * DAY


def test_a_new_self_signature_says_all_that_the_old_one_said(ann: Identity) -> None:
    (made,) = added(ann.tsk, extend(ann.tsk, NOW + DAY, NOW).tsk)
    old, new = (keytree.claims(p) for p in (packets.split(ann.tsk, 9)[2], made))
    assert old
    assert new
    assert old.kind == new.kind
    left = {keytree.CREATED, keytree.ISSUER, keytree.ISSUER_FINGERPRINT, keytree.KEY_LIFETIME}
    assert {p for p in old.hashed if p[0] not in left} == {
        p for p in new.hashed if p[0] not in left
    }


def test_a_modern_key_is_extended(modern: Identity) -> None:
    made = ownkey.read(modern.tsk, LATER).newest()
    while (now := int(time.time())) <= made:
        time.sleep(0.05)  # rpgp stamps a modern key with the system's clock
    edited = extend(modern.tsk, now + DAY, now)
    assert info(edited.cert, now).expires == now + DAY
    assert recipient(edited.cert, now).good_until == now + DAY


@pytest.mark.parametrize(
    "expires", [NOW, NOW - DAY, 0, 2**32], ids=["now", "past", "zero", "too-large"]
)
def test_an_end_that_is_none(ann: Identity, expires: int) -> None:
    with pytest.raises(BadKey, match="time"):
        extend(ann.tsk, expires, NOW)


def test_nothing_is_signed_twice_in_a_second(ann: Identity) -> None:
    edited = extend(ann.tsk, NOW + DAY, NOW)
    with pytest.raises(BadKey, match="second"):
        extend(edited.tsk, None, NOW)


def test_a_signature_from_the_future_stops_all_edits() -> None:
    key = Forged()
    key.add(created=NOW + 400 * DAY)
    for edit in (
        lambda: add_address(key.tsk, "a@b.c", "", NOW),
        lambda: extend(key.tsk, None, NOW + 1),
    ):
        with pytest.raises(BadKey):
            edit()


# --- addresses -------------------------------------------------------------------------------


def test_an_address_is_added_and_revoked(ann: Identity) -> None:
    two = add_address(ann.tsk, "ann@example.net", "Änn", NOW - 2 * DAY)
    assert info(two.cert).user_ids == ("Ann <ann@example.org>", "Änn <ann@example.net>")
    more = added(ann.tsk, two.tsk)
    assert [p.tag for p in more] == [packets.USER_ID, packets.SIGNATURE]
    assert raws(two.tsk)[3:5] == [p.raw for p in more]  # behind the first, before the subkey
    one = revoke_address(two.tsk, "ANN@example.net", NOW - DAY)
    assert info(one.cert).user_ids == ("Ann <ann@example.org>",)
    (revoked,) = (keytree.claims(p) for p in added(two.tsk, one.tsk))
    assert revoked
    assert (revoked.kind, revoked.first(keytree.REASON)) == (0x30, b"\x20")
    assert recipient(one.cert, NOW).key_ids == recipient(ann.cert, NOW).key_ids


def test_an_address_that_is_or_was_there(ann: Identity) -> None:
    two = add_address(ann.tsk, "ann@example.net", "Ann", NOW - 2 * DAY)
    one = revoke_address(two.tsk, "ann@example.net", NOW - DAY)
    for tsk in (two.tsk, one.tsk):
        with pytest.raises(BadKey, match="user id"):
            add_address(tsk, "ann@example.net", "Ann", NOW)


def test_the_first_address_may_go_but_not_the_last(ann: Identity) -> None:
    two = add_address(ann.tsk, "ann@example.net", "Ann", NOW - 2 * DAY)
    one = revoke_address(two.tsk, "ann@example.org", NOW - DAY)
    assert info(one.cert).user_ids == ("Ann <ann@example.net>",)
    assert recipient(one.cert, NOW)
    with pytest.raises(BadKey, match="last"):
        revoke_address(one.tsk, "ann@example.net", NOW)
    with pytest.raises(BadKey, match="no user id"):
        revoke_address(one.tsk, "ben@example.net", NOW)


@pytest.mark.parametrize("address", ["ann", "ann@example.net>", "ann @example.net", ""])
def test_an_unusable_address(ann: Identity, address: str) -> None:
    with pytest.raises(BadKey):
        add_address(ann.tsk, address, "Ann", NOW)


def test_a_key_never_grows_above_the_caps_of_a_certificate(ann: Identity) -> None:
    key = ann.tsk
    for number in range(29):
        key = add_address(key, f"a{number}@example.org", "", NOW - DAY).tsk
    assert len(raws(key)) == 63
    assert refusal(lambda: add_address(key, "x@example.org", "", NOW)) is Refusal.TOO_MANY_PACKETS


# --- revocation ------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", Reason)
def test_a_revoked_key_takes_no_mail_and_reads_it(ann: Identity, reason: Reason) -> None:
    old = seal(b"old", [recipient(ann.cert, NOW)])
    edited = revoke(ann.tsk, reason, NOW - DAY)
    assert refusal(lambda: recipient(edited.cert, NOW)) is Refusal.REVOKED
    (made,) = (keytree.claims(p) for p in added(ann.tsk, edited.tsk))
    assert made
    assert made.first(keytree.REASON) == bytes([reason.value])
    with OpenWorker(edited.tsk) as worker:
        assert worker.open(old).plaintext == b"old"


def test_a_modern_key_is_revoked(modern: Identity) -> None:
    edited = revoke(modern.tsk, Reason.SUPERSEDED, int(time.time()))
    assert refusal(lambda: recipient(edited.cert, LATER)) is Refusal.REVOKED


@pytest.mark.parametrize(
    "edit",
    [
        lambda tsk: rotate_encryption(tsk, NOW),
        lambda tsk: extend(tsk, None, NOW),
        lambda tsk: add_address(tsk, "a@b.c", "", NOW),
        lambda tsk: revoke_address(tsk, "ann@example.org", NOW),
        lambda tsk: revoke(tsk, Reason.RETIRED, NOW),
    ],
)
def test_nothing_is_done_to_a_revoked_key(ann: Identity, edit: Callable[[bytes], object]) -> None:
    gone = revoke(ann.tsk, Reason.RETIRED, NOW - DAY)
    assert refusal(lambda: edit(gone.tsk)) is Refusal.REVOKED


def test_the_revocation_made_at_birth_is_applied(ann: Identity, modern: Identity) -> None:
    for one in (ann, modern):
        gone = apply_revocation(one.cert, one.revocation)
        assert refusal(lambda gone=gone: recipient(gone, LATER)) is Refusal.REVOKED
        assert [p.raw for p in added(one.cert, gone)] == [one.revocation]
        assert apply_revocation(gone, one.revocation) == gone


def test_what_is_no_revocation_of_the_key(ann: Identity, modern: Identity) -> None:
    own = raws(ann.cert)[2]
    foreign = person().revocation()
    for wrong in (modern.revocation, foreign, own, b"", b"x", ann.revocation * 2):
        with pytest.raises(SignatureInvalid):
            apply_revocation(ann.cert, wrong)
    claimed = Ed25519()
    claimed.fingerprint, claimed.key_id = ann.fingerprint, ann.fingerprint[-16:]
    made = forge.signature(claimed, 0x20, selfsig.of_key(packets.split(ann.cert, 9)[0].body))
    with pytest.raises(SignatureInvalid):
        apply_revocation(ann.cert, made)


# --- keys of others, and faults --------------------------------------------------------------


def test_expired_keys_are_named_so() -> None:
    key = expired()
    assert refusal(lambda: rotate_encryption(key.tsk, NOW)) is Refusal.EXPIRED
    assert refusal(lambda: add_address(key.tsk, "a@b.c", "", NOW)) is Refusal.EXPIRED


def test_an_rsa_key_is_edited() -> None:
    key = Forged(primary=Rsa(2048))
    key.add(Rsa(2048))
    edited = rotate_encryption(add_address(key.tsk, "a@b.c", "A", NOW - DAY).tsk, NOW)
    assert states(edited.cert) == [SubkeyState.REVOKED, SubkeyState.USABLE]
    assert set(info(edited.cert).user_ids) == {"Ann <ann@example.org>", "A <a@b.c>"}


def test_the_certificate_is_the_public_half_of_the_key(ann: Identity) -> None:
    edited = rotate_encryption(ann.tsk, NOW)
    assert edited.cert == bytes(
        _rpgp.composed.SignedSecretKey.from_bytes(edited.tsk).to_public_key().to_bytes()
    )


@pytest.mark.parametrize("tsk", [b"", b"junk", b"\xc5\x01\x04", b"\xc5\x0c\x04" + b"\0" * 11])
def test_what_is_no_secret_key(tsk: bytes) -> None:
    for edit in (rotate_encryption, successor):
        with pytest.raises(BadKey):
            edit(tsk, NOW)


def test_a_certificate_is_no_secret_key(ann: Identity) -> None:
    with pytest.raises(BadKey):
        rotate_encryption(ann.cert, NOW)


def test_a_file_above_its_limit() -> None:
    assert refusal(lambda: rotate_encryption(b"\xc5" * 300_000, NOW)) is Refusal.TOO_BIG


def wrong_signature(self: selfsig.Signer, *_: object) -> bytes:
    return b"\0\x01\x01" * 2


def test_an_edit_that_does_not_verify_is_thrown_away(
    ann: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selfsig.Signer, "_sign", wrong_signature)
    for edit in (
        lambda: rotate_encryption(ann.tsk, NOW),
        lambda: extend(ann.tsk, NOW + DAY, NOW),
        lambda: add_address(ann.tsk, "a@b.c", "", NOW),
        lambda: revoke(ann.tsk, Reason.RETIRED, NOW),
    ):
        with pytest.raises((BadKey, KeyRefused)):
            edit()


def test_a_subkey_that_does_not_open_is_thrown_away(
    ann: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_rpgp.SecretKey, "decrypt", lambda *_: (b"other", []))
    with pytest.raises(BadKey):
        rotate_encryption(ann.tsk, NOW)


def test_an_edit_that_loses_a_packet_is_thrown_away(ann: Identity) -> None:
    before = ownkey.read(ann.tsk, NOW)
    first, *rest = before.parts
    for parts in ([first, *rest[1:]], [first, *reversed(rest)], [first, rest[0]]):
        with pytest.raises(BadKey):
            keyproof.kept(before, ownkey.OwnKey(parts, [], before.primary, before.info, NOW))


def test_reprs_tell_no_secret(ann: Identity) -> None:
    edited = rotate_encryption(ann.tsk, NOW)
    key = ownkey.read(edited.tsk, NOW)
    assert (
        repr(edited) == f"Edited({ann.fingerprint}, …)" == repr(Edited(b"", b"", ann.fingerprint))
    )
    for told in (repr(key), repr(key.signer()), repr(key.primary)):
        assert key.primary.secret.hex() not in told
        assert repr(key.primary.secret)[2:-1] not in told


def test_sign_detached_works_with_an_edited_key(ann: Identity) -> None:
    edited = rotate_encryption(ann.tsk, NOW - DAY)
    assert sign_detached(edited.tsk, b"data")
