"""Copies of a certificate that somebody else made, to keep its owner's word from arriving later."""

import hashlib

import pytest

from e2email_crypto import packets
from e2email_crypto.cert import SubkeyState, inspect_cert, merge, publishable
from e2email_crypto.errors import KeyRefused, Refusal
from e2email_crypto.gate import recipient
from support import forge
from support.forge import NOW, Cv25519, Ed25519, Forged, person

ANN = "ann@example.org"


def impostor(key: Forged) -> Ed25519:
    """Signs with another secret in the name of the key."""
    evil = Ed25519()
    evil.fingerprint, evil.key_id = key.primary.fingerprint, key.primary.key_id
    return evil


def loose_changed(signature: bytes, area: bytes) -> bytes:
    """The same signature with other unhashed subpackets, which anybody can write."""
    body = packets.split(signature, 1)[0].body
    at = 6 + int.from_bytes(body[4:6])
    end = at + 2 + int.from_bytes(body[at : at + 2])
    return forge.packet(2, body[:at] + len(area).to_bytes(2) + area + body[end:])


def crowd(key: Forged, count: int) -> bytes:
    """Foreign subkeys, each with a "revocation" over SHA-1, which nobody verifies."""
    evil, made = impostor(key), b""
    for _ in range(count):
        subkey = Cv25519()
        made += subkey.public(14)
        made += forge.binding(evil, subkey, 0, kind=0x28, hash_name="sha1")
    return made


def test_foreign_subkeys_do_not_come_in_behind_a_revocation_nobody_verified() -> None:
    key = person()
    assert merge(key.cert, key.cert + crowd(key, 20)) == key.cert
    assert publishable(key.cert + crowd(key, 20), ANN) == key.cert


def test_a_crowded_first_copy_does_not_keep_a_later_update_out() -> None:
    key = person()
    crowded = key.cert + crowd(key, 29)
    key.revoke(0)
    key.add()
    now = merge(crowded, key.cert)
    assert [s.state for s in inspect_cert(now, NOW).subkeys][:2] == [
        SubkeyState.REVOKED, SubkeyState.USABLE,
    ]  # fmt: skip


def test_revocations_nobody_verified_do_not_keep_a_later_update_out() -> None:
    key = person()
    for _ in range(4):
        key.add()
    evil, full = impostor(key), Forged(key.primary, key.user_id, b"", key.self_sig, [])
    for subkey, bound in key.subkeys:
        fake = [forge.binding(evil, subkey, 0, kind=0x28, hash_name="sha1", created=NOW - i)
                for i in range(10)]  # fmt: skip
        full.subkeys.append((subkey, bound + b"".join(fake)))
    crowded = merge(key.cert, full.cert)
    for at in range(5):
        key.revoke(at)
    for _ in range(20):
        key.add()
    states = [s.state for s in inspect_cert(merge(crowded, key.cert), NOW).subkeys]
    assert states == [SubkeyState.REVOKED] * 5 + [SubkeyState.USABLE] * 20


@pytest.mark.parametrize("area", [forge.sub(16, b"\1" * 8), b""])
def test_a_maimed_copy_of_a_signature_does_not_keep_the_whole_one_out(area: bytes) -> None:
    """Without the back signature a signing subkey is not bound; with another issuer nothing is."""
    key = person()
    signing = Ed25519()
    over = key.primary.hashed() + signing.hashed()
    back = forge.signature(signing, 0x19, over)
    embedded = packets.split(back, 1)[0].body
    inner = bytes([255]) + (len(embedded) + 1).to_bytes(4) + b"\x20" + embedded
    bound = forge.binding(key.primary, signing, forge.SIGN, unhashed=inner)
    whole = key.cert + signing.public(14) + bound
    maimed = key.cert + signing.public(14) + loose_changed(bound, area)
    assert bound in publishable(whole, ANN)
    assert bound not in publishable(maimed, ANN)
    assert bound in merge(maimed, whole)


def test_a_maimed_revocation_does_not_keep_the_whole_one_out() -> None:
    key = person()
    subkey, _ = key.subkeys[0]
    over = key.primary.hashed() + subkey.hashed()
    # as gpg 1 wrote them: the issuer stands in the unhashed part alone
    area = forge.sub(2, forge.time4(NOW - 9))
    head = bytes([4, 0x28, 22, 10]) + len(area).to_bytes(2) + area
    digest = hashlib.sha512(over + head + b"\x04\xff" + len(head).to_bytes(4)).digest()
    loose = forge.sub(16, bytes.fromhex(key.primary.key_id))
    signed = digest[:2] + key.primary.raw_sign(digest, "sha512")
    gone = forge.packet(2, head + len(loose).to_bytes(2) + loose + signed)
    maimed = loose_changed(gone, forge.sub(16, b"\1" * 8))
    whole = key.cert + gone
    # over a subkey nobody but its key signs, so the name beside it does not matter
    assert inspect_cert(key.cert + maimed, NOW).subkeys[0].state is SubkeyState.REVOKED
    assert inspect_cert(whole, NOW).subkeys[0].state is SubkeyState.REVOKED
    with pytest.raises(KeyRefused) as caught:
        recipient(merge(key.cert + maimed, whole), NOW)
    assert caught.value.reason is Refusal.REVOKED


def test_copies_of_what_is_genuine_do_not_make_a_certificate_grow() -> None:
    key = person()
    key.add()
    small = Forged(key.primary, key.user_id, b"", key.self_sig, key.subkeys[:1])
    key.revoke(1)
    once = merge(small.cert, key.cert)
    subkey, signatures = key.subkeys[1]
    part = subkey.public(14) + signatures
    assert merge(small.cert, key.cert + part * 9) == once
    revoked = packets.split(signatures, 2)[0].raw
    many = [loose_changed(revoked, forge.sub(20, bytes([i]))) for i in range(30)]
    again = merge(small.cert, key.cert + b"".join(many))
    assert len(packets.split(again, 64)) == len(packets.split(once, 64))
    assert merge(once, key.cert + b"".join(many)) == once
    assert publishable(key.cert + b"".join(many), ANN) == key.cert


def test_revocations_nobody_verified_do_not_add_up_over_many_copies() -> None:
    key = person()
    cert, most = key.cert, 0
    for day in range(5):
        evil = impostor(key)
        fake = b"".join(
            forge.signature(
                evil, 0x20, key.primary.hashed(), hash_name="sha1", created=NOW - 9 * day - i
            )
            for i in range(3)
        )
        cert = merge(cert, Forged(key.primary, key.user_id, fake, key.self_sig, key.subkeys).cert)
        most = len(packets.split(cert, 64))
    assert most == len(packets.split(key.cert, 64)) + 4
