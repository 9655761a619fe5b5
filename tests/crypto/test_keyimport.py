"""Secret keys of other programs taken over, and given back."""

import base64
import hashlib
from dataclasses import replace

import pysequoia
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from e2email_crypto import packets, secretlock, secretpacket
from e2email_crypto.armor import _crc24
from e2email_crypto.cert import SubkeyState, inspect_cert
from e2email_crypto.errors import (
    BadKey,
    CryptoError,
    Damaged,
    KdfRefused,
    KeyRefused,
    PassphraseNeeded,
    Refusal,
    SecretMissing,
    WrongSecret,
)  # fmt: skip
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import (
    Reason,
    export_secret,
    extend,
    new_identity,
    revoke,
    rotate_encryption,
)  # fmt: skip
from e2email_crypto.keyimport import Imported, read_secret
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from e2email_crypto.secretpacket import SecretPacket
from support import forge
from support.forge import DAY, NOW, SOON, Cv25519, Ed25519, Forged, Rsa, person

PASSPHRASE = "Grüße, überall"


def packets_of(octets: bytes) -> list[packets.Packet]:
    return packets.split(octets, 2000)


def joined(found: list[packets.Packet]) -> bytes:
    return b"".join(p.raw for p in found)


def changed(octets: bytes, tag: int, make) -> bytes:
    """The key with every secret packet of `tag` put through `make`."""
    return b"".join(
        make(secretpacket.parse(p)).raw() if p.tag == tag else p.raw for p in packets_of(octets)
    )


def locked(octets: bytes, passphrase: str = PASSPHRASE, *, only: int | None = None) -> bytes:
    tags = [only] if only else sorted(secretpacket.SECRET_TAGS)
    for tag in tags:
        octets = changed(octets, tag, lambda p: secretlock.lock(p, passphrase.encode()))
    return octets


def armored(octets: bytes) -> bytes:
    return pysequoia.armor(octets, pysequoia.ArmorKind.SecretKey).encode()


def refusal(octets: bytes) -> Refusal:
    with pytest.raises(KeyRefused) as caught:
        read_secret(octets, None, NOW)
    return caught.value.reason


# --- what comes in ---------------------------------------------------------------------------


def test_an_unprotected_key_comes_in_octet_for_octet() -> None:
    key = person()
    got = read_secret(key.tsk, None, NOW)
    assert (got.tsk, got.profile, got.refusal) == (key.tsk, "compat", None)
    assert [(p.tag, p.body) for p in packets_of(got.cert)] == [
        (p.tag, p.body) for p in packets_of(key.cert)
    ]
    assert got.fingerprint == key.primary.fingerprint
    assert got.user_ids == ("Ann <ann@example.org>",)
    assert [s.state for s in got.subkeys] == [SubkeyState.USABLE]
    assert (got.created, got.expires) == (key.primary.created, None)


@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_an_export_comes_back_as_it_was(profile) -> None:
    ann = new_identity("ann@example.org", "Ann", NOW - DAY, profile)
    out = export_secret(ann.tsk, PASSPHRASE, SOON)
    assert read_secret(out, PASSPHRASE, SOON).tsk == ann.tsk
    for tag in (packets.USER_ID, packets.SIGNATURE):
        assert [p.raw for p in packets_of(out) if p.tag == tag] == [
            p.raw for p in packets_of(ann.tsk) if p.tag == tag
        ]
    secrets = [secretpacket.parse(p) for p in packets_of(ann.tsk) if p.tag in (5, 7)]
    assert not any(p.secret in out for p in secrets)


def test_an_export_needs_a_passphrase() -> None:
    with pytest.raises(ValueError, match="passphrase"):
        export_secret(person().tsk, "", NOW)


def test_armor_and_the_public_block_beside_it() -> None:
    key = person()
    text = armored(locked(key.tsk))
    public = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n-----END PGP PUBLIC KEY BLOCK-----\n"
    for data in (text, public + text, text + public, b"\n" + text.replace(b"\n", b"\r\n")):
        assert read_secret(data, PASSPHRASE, NOW).fingerprint == key.primary.fingerprint


def test_several_subkeys_of_every_state_stay_for_reading() -> None:
    key = Forged()
    key.add(lifetime=10 * DAY)
    key.add()
    key.revoke(1, created=NOW - DAY)
    key.add()
    got = read_secret(locked(key.tsk), PASSPHRASE, NOW)
    assert [s.state for s in got.subkeys] == [
        SubkeyState.EXPIRED, SubkeyState.REVOKED, SubkeyState.USABLE,
    ]  # fmt: skip
    assert got.refusal is None
    with OpenWorker(got.tsk) as worker:
        for subkey, _ in key.subkeys:
            twin = Forged(primary=key.primary)  # as it was when the subkey was in use
            twin.add(subkey)
            mail = seal(b"old", [recipient(twin.cert, NOW)])
            assert worker.open(mail).plaintext == b"old"


@pytest.mark.parametrize("lifetime", [5, 20])
def test_an_expired_key_comes_in_named_so_and_can_be_extended(lifetime: int) -> None:
    key = Forged()
    key.self_sig = forge.self_signature(key.primary, key.user_id, lifetime=lifetime * DAY)
    key.add()
    got = read_secret(key.tsk, None, NOW)
    assert (got.refusal, got.expires) == (Refusal.EXPIRED, key.primary.created + lifetime * DAY)
    assert recipient(extend(got.tsk, None, NOW).cert, NOW)


def test_a_revoked_key_comes_in_for_reading() -> None:
    key = person()
    key.direct = key.revocation(3)
    assert read_secret(key.tsk, None, NOW).refusal is Refusal.REVOKED


def test_a_key_without_encryption_comes_in_and_gets_some() -> None:
    got = read_secret(Forged().tsk, None, NOW)
    assert got.refusal is Refusal.CANNOT_ENCRYPT
    assert recipient(rotate_encryption(got.tsk, NOW).cert, NOW)


@pytest.mark.parametrize("bits", [2048, 4096])
def test_rsa(bits: int) -> None:
    key = Forged(primary=Rsa(bits))
    key.add(Rsa(2048))
    assert read_secret(locked(key.tsk), PASSPHRASE, NOW).refusal is None


# --- passphrases -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", [bytes, armored])
def test_no_passphrase_a_wrong_one_and_damage(form) -> None:
    octets = locked(person().tsk)
    with pytest.raises(PassphraseNeeded):
        read_secret(form(octets), None, NOW)
    for wrong in ("", "grüße, überall", PASSPHRASE + " "):
        with pytest.raises(WrongSecret):
            read_secret(form(octets), wrong, NOW)


def test_one_packet_that_does_not_open_is_damage() -> None:
    octets = changed(
        locked(person().tsk), 7, lambda p: replace(p, rest=p.rest[:-1] + bytes([p.rest[-1] ^ 1]))
    )
    with pytest.raises(Damaged):
        read_secret(octets, PASSPHRASE, NOW)


def test_a_checksum_of_the_armor_tells_damage_from_a_wrong_passphrase() -> None:
    key = Forged()
    octets = locked(key.tsk)
    crc = b"=" + base64.b64encode(_crc24(octets).to_bytes(3))
    broken = changed(octets, 5, lambda p: replace(p, rest=p.rest[:-1] + bytes([p.rest[-1] ^ 1])))
    lines = [line for line in armored(broken).splitlines() if not line.startswith(b"=")]
    with_crc = b"\n".join([*lines[:-1], crc, lines[-1]])
    with pytest.raises(Damaged):
        read_secret(with_crc, PASSPHRASE, NOW)
    whole = [line for line in armored(octets).splitlines() if not line.startswith(b"=")]
    with pytest.raises(WrongSecret):
        read_secret(b"\n".join([*whole[:-1], crc, whole[-1]]), "wrong", NOW)


def lock_as(packet: SecretPacket, usage: int, cipher: int, specifier: bytes) -> SecretPacket:
    """As older programs did it, written here apart from the code that reads it."""
    name = {1: "md5", 2: "sha1", 8: "sha256", 10: "sha512"}[specifier[1]]
    salt = specifier[2:10] if specifier[0] else b""
    seed = salt + PASSPHRASE.encode()
    if specifier[0] == 3:
        count = (16 + (specifier[10] & 15)) << ((specifier[10] >> 4) + 6)
        seed = (seed * (count // len(seed) + 1))[: max(count, len(seed))]
    size, block = {2: (24, 8), 3: (16, 8), 7: (16, 16), 9: (32, 16)}[cipher]
    key = b"".join(hashlib.new(name, b"\0" * i + seed).digest() for i in range(3))[:size]
    kind = {2: TripleDES, 3: CAST5, 7: algorithms.AES, 9: algorithms.AES}[cipher]
    check = hashlib.sha1(packet.secret).digest()
    if usage == 255:
        check = (sum(packet.secret) & 0xFFFF).to_bytes(2)
    encryptor = Cipher(kind(key), CFB(b"i" * block)).encryptor()
    sealed = encryptor.update(packet.secret + check)
    return replace(packet, rest=bytes([usage, cipher]) + specifier + b"i" * block + sealed)


@pytest.mark.parametrize("usage", [254, 255])
@pytest.mark.parametrize("cipher", [2, 3, 7, 9])
@pytest.mark.parametrize(
    "specifier", [b"\0\x08", b"\x01\x01saltsalt", b"\x03\x02saltsalt\x60", b"\x03\x0asaltsalt\x00"]
)
def test_protections_of_older_programs(usage: int, cipher: int, specifier: bytes) -> None:
    key = person()
    octets = key.tsk
    for tag in (5, 7):
        octets = changed(octets, tag, lambda p: lock_as(p, usage, cipher, specifier))
    assert read_secret(octets, PASSPHRASE, NOW).fingerprint == key.primary.fingerprint
    with pytest.raises((WrongSecret, BadKey)):
        read_secret(octets, "wrong", NOW)


def test_many_costly_derivations_are_refused_before_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secretlock, "_derive", lambda *_: pytest.fail("a derivation ran"))
    key = person()
    for _ in range(9):
        key.add()
    costly = b"\xfd\x09\x02\x04" + b"s" * 16 + b"\x01\x04\x15" + b"n" * 40
    octets = key.tsk
    for tag in (5, 7):
        octets = changed(octets, tag, lambda p: replace(p, rest=costly))
    with pytest.raises(KdfRefused, match="together"):
        read_secret(octets, "any", NOW)
    with pytest.raises(PassphraseNeeded):
        read_secret(octets, None, NOW)


def test_no_salt_and_an_empty_passphrase() -> None:
    octets = person().tsk
    for tag in (5, 7):
        octets = changed(octets, tag, lambda p: lock_as(p, 254, 9, b"\0\x08"))
    with pytest.raises(WrongSecret):
        read_secret(octets, "", NOW)


def test_a_passphrase_that_is_no_text_is_in_no_error() -> None:
    octets = person().tsk
    with pytest.raises(ValueError, match="no text") as caught:
        export_secret(octets, "canary\udc80", NOW)
    assert "canary" not in repr(caught.value)
    with pytest.raises(WrongSecret) as wrong:
        read_secret(locked(octets), "canary\udc80", NOW)
    assert "canary" not in repr(wrong.value)
    assert wrong.value.__suppress_context__


def with_head(octets: bytes, head: bytes) -> bytes:
    """Both secrets under a protection that begins with these octets."""
    for tag in (5, 7):
        octets = changed(octets, tag, lambda p: replace(p, rest=head + p.rest[1:] + b"\0" * 40))
    return octets


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"\xfe\x09\x65\x00GNU\x01", SecretMissing),
        (b"\xff\x00\x65\x00GNU\x02\x10" + b"\0" * 16, SecretMissing),
        (b"\xfe\x09\x65\x00GNU\x03", BadKey),
        (b"\xfd\x09\x02\x04" + b"s" * 16 + b"\x01\x04\x16", KdfRefused),  # 4 GiB
        (b"\xfd\x09\x02\x04" + b"s" * 16 + b"\x0b\x04\x10", KdfRefused),
        (b"\xfd\x09\x02\x04" + b"s" * 16 + b"\x01\x11\x10", KdfRefused),
        (b"\xfd\x09\x01\x03\x08saltsalt\x00", BadKey),  # EAX
        (b"\xfe\x04\x03\x08saltsalt\x00", BadKey),  # Blowfish
        (b"\xfe\x09\x02\x08saltsalt\x00", BadKey),  # a reserved derivation
        (b"\xfe\x09\x03\x03saltsalt\x00", BadKey),  # RIPEMD-160
        (b"\x09" + b"i" * 16, BadKey),
    ],
)
def test_what_no_passphrase_opens(head: bytes, error: type[CryptoError]) -> None:
    with pytest.raises(error) as caught:
        read_secret(with_head(person().tsk, head), PASSPHRASE, NOW)
    assert type(caught.value) is error


@pytest.mark.parametrize(("mode", "on_card"), [(1, False), (2, True)])
def test_a_missing_secret_is_named(mode: int, on_card: bool) -> None:
    stub = b"\xff\x00\x65\x00GNU" + bytes([mode])
    for tag in (5, 7):
        octets = changed(person().tsk, tag, lambda p: replace(p, rest=stub))
        with pytest.raises(SecretMissing) as caught:
            read_secret(octets, None, NOW)
        assert caught.value.on_card is on_card


def test_a_signing_subkey_on_a_card_does_not_keep_the_rest_out() -> None:
    key = person()
    subkey = Ed25519()
    back = forge.signature(subkey, 0x19, key.primary.hashed() + subkey.hashed())
    embedded = forge.sub(32, packets.split(back, 1)[0].body)
    bound = forge.binding(key.primary, subkey, forge.SIGN, hashed=embedded)
    key.subkeys.append((subkey, bound))
    parts = packets_of(key.tsk)
    stub = secretpacket.parse(parts[-2])
    parts[-2] = packets.Packet(7, replace(stub, rest=b"\xff\x00\x65\x00GNU\x02").raw(), b"")
    got = read_secret(joined(parts), None, NOW)
    assert [s.state for s in got.subkeys] == [SubkeyState.USABLE, SubkeyState.NOT_FOR_ENCRYPTION]
    edited = rotate_encryption(got.tsk, NOW)
    assert [s.state for s in inspect_cert(edited.cert, NOW).subkeys][1:] == [
        SubkeyState.NOT_FOR_ENCRYPTION, SubkeyState.USABLE,
    ]  # fmt: skip


# --- what does not fit -----------------------------------------------------------------------


@pytest.mark.parametrize("tag", [5, 7])
def test_a_secret_of_another_key(tag: int) -> None:
    one, other = person(), person()
    rest = {p.tag: secretpacket.parse(p).rest for p in packets_of(other.tsk) if p.tag in (5, 7)}
    octets = changed(one.tsk, tag, lambda p: replace(p, rest=rest[tag]))
    with pytest.raises(BadKey, match="fit"):
        read_secret(octets, None, NOW)


def test_a_public_part_that_was_changed() -> None:
    """KOpenPGP: the public part of a protected secret key is nobody's but its signatures'."""
    key, other = person(), Ed25519(NOW - 30 * DAY)
    octets = changed(locked(key.tsk), 5, lambda p: replace(p, public=other.body))
    assert refusal(octets) is Refusal.FORGED_BINDING
    subkey = Cv25519()
    octets = changed(key.tsk, 7, lambda p: replace(p, public=subkey.body))
    assert refusal(octets) is Refusal.FORGED_BINDING


def test_rsa_numbers_that_do_not_fit() -> None:
    key = Forged(primary=Rsa(2048))
    key.add()
    octets = changed(key.tsk, 5, lambda p: secretpacket.unprotected(p, Rsa(2048)._secret))
    with pytest.raises(BadKey, match="fit"):
        read_secret(octets, None, NOW)


def test_every_flipped_octet_is_refused_or_harmless() -> None:
    key = person()
    octets = locked(key.tsk, only=7)
    good = [(p.tag, p.body) for p in packets_of(key.tsk) if p.tag in (5, 7)]
    for at in range(0, len(octets), 7):
        flipped = octets[:at] + bytes([octets[at] ^ 0x11]) + octets[at + 1 :]
        try:
            got = read_secret(flipped, PASSPHRASE, NOW)
        except (CryptoError, PassphraseNeeded):
            continue
        kept = [(p.tag, p.body) for p in packets_of(got.tsk) if p.tag in (5, 7)]
        assert kept == good[: len(kept)], at


# --- caps and shapes -------------------------------------------------------------------------


def test_weak_and_young_and_unsigned_keys_are_named() -> None:
    weak = Forged(primary=Rsa(1024))
    weak.add(Rsa(1024))
    assert refusal(weak.tsk) is Refusal.WEAK
    young = Forged(primary=Ed25519(NOW + DAY))
    young.add()
    assert refusal(young.tsk) is Refusal.NOT_YET_VALID
    forged = person()
    forged.self_sig = forge.self_signature(Ed25519(), forged.user_id)
    assert refusal(forged.tsk) is Refusal.FORGED_BINDING


def test_files_above_the_limits() -> None:
    assert refusal(b"\xc5" + b"\0" * 1024 * 1024) is Refusal.TOO_BIG
    assert refusal(person().tsk + forge.packet(10, b"PGP") * 2000) is Refusal.TOO_MANY_PACKETS


def test_what_is_taken_over_has_room_for_edits_and_every_key_for_its_revocation() -> None:
    key = person()
    over = key.primary.hashed() + b"\xb4" + len(key.user_id).to_bytes(4) + key.user_id
    own = forge.self_signature(key.primary, key.user_id)
    friends = [forge.signature(Ed25519(), 0x10, over) for _ in range(59)]
    for count, left in ((35, 35), (36, 0), (59, 0)):
        key.self_sig = own + b"".join(friends[:count])
        taken = read_secret(key.tsk, None, NOW).tsk
        assert len(packets_of(taken)) == 5 + left
    tsk, edits = taken, 0
    with pytest.raises(KeyRefused) as caught:
        while True:
            tsk = rotate_encryption(tsk, NOW - DAY + edits).tsk
            edits += 1
    assert caught.value.reason is Refusal.TOO_MANY_PACKETS
    assert edits > 10
    assert inspect_cert(revoke(tsk, Reason.COMPROMISED, NOW).cert, NOW).revoked


def test_what_others_certified_is_left_out_where_there_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = person()
    over = key.primary.hashed() + b"\xb4" + len(key.user_id).to_bytes(4) + key.user_id
    friends = b"".join(forge.signature(Ed25519(), 0x10, over) for _ in range(3))
    own = forge.self_signature(key.primary, key.user_id)
    key.self_sig = friends + own
    few = read_secret(key.tsk, None, NOW)
    assert (few.tsk, few.refusal) == (key.tsk, None)
    assert not inspect_cert(few.cert, NOW).forged
    key.self_sig = friends * 30 + own
    many = read_secret(locked(key.tsk), PASSPHRASE, NOW)
    assert friends[:80] not in many.tsk
    assert own in many.tsk
    assert recipient(many.cert, NOW)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"\x00\x01",
        person().cert,
        person().tsk + person().tsk,
        armored(person().tsk) + armored(person().tsk),
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n!!!!\n-----END PGP PRIVATE KEY BLOCK-----\n",
        b"-----BEGIN PGP MESSAGE-----\n\nxxxx\n-----END PGP MESSAGE-----\n",
        forge.packet(5, b"\x03" + b"\0" * 30),
        forge.packet(5, b"\x04" + b"\0" * 30),
        forge.packet(13, b"x") + person().tsk,
    ],
    ids=[
        "empty",
        "text",
        "octets",
        "certificate",
        "two",
        "two-armored",
        "damaged",
        "message",
        "v3",
        "v4",
        "user-id-first",
    ],
)
def test_what_is_no_secret_key(data: bytes) -> None:
    with pytest.raises(BadKey):
        read_secret(data, None, NOW)


def test_reprs_tell_no_secret() -> None:
    got = read_secret(person().tsk, None, NOW)
    assert isinstance(got, Imported)
    secret = secretpacket.parse(packets_of(got.tsk)[0])
    assert repr(got.tsk) not in repr(got)
    assert "rest" not in repr(secret)
    whole = packets_of(got.tsk)
    assert repr(whole[0].raw[-9:])[2:-1] not in repr(whole)
    assert "raw" not in repr(whole)
