"""Arrival signatures beyond the vectors: RFC 8032, limits, what reprs tell."""

import pytest

from e2email_crypto import _sodium, arrival, errors

KEY = arrival.ArrivalKey(b"\7" * 32)


def test_ed25519_is_rfc_8032() -> None:
    # section 7.1, test 3
    seed = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    public, secret = _sodium.sign_keypair(seed)
    assert public.hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    assert _sodium.sign(b"\xaf\x82", secret).hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )


def test_every_flipped_octet_of_a_signed_envelope_is_refused() -> None:
    envelope = b'{"id":"00"}\nSubject: x\r\n'
    signature = KEY.sign(envelope)
    assert arrival.verify_arrival(KEY.public, envelope, signature)
    for at in range(len(envelope)):
        bent = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
        assert not arrival.verify_arrival(KEY.public, bent, signature)
    for at in range(64):
        bent = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        assert not arrival.verify_arrival(KEY.public, envelope, bent)


def test_octets_do_not_move_between_signature_and_envelope() -> None:
    signature = KEY.sign(b"text")
    both = signature + arrival.LABEL + b"text"
    for border in (0, 63, 65, 70):
        assert not _sodium.verify(both[border:], both[:border], KEY.public)


def test_every_flipped_octet_of_a_successor_is_refused() -> None:
    certificate = KEY.certify(arrival.ArrivalKey.generate().public)
    for at in range(len(certificate)):
        bent = certificate[:at] + bytes([certificate[at] ^ 1]) + certificate[at + 1 :]
        with pytest.raises((errors.Damaged, errors.UnknownVersion)):
            arrival.follow(KEY.public, [bent])


def test_a_chain_has_an_end() -> None:
    certificate = KEY.certify(KEY.public)
    assert arrival.follow(KEY.public, [certificate] * arrival.SUCCESSORS_MAX) == KEY.public
    with pytest.raises(errors.SignatureInvalid, match="too many"):
        arrival.follow(KEY.public, [certificate] * (arrival.SUCCESSORS_MAX + 1))


def test_the_file_is_the_key() -> None:
    loaded = arrival.ArrivalKey.load(KEY.encode())
    assert loaded == KEY
    assert loaded.sign(b"x") == KEY.sign(b"x")


def test_a_key_tells_only_its_public_half() -> None:
    assert repr(KEY) == f"ArrivalKey(public={KEY.public!r})"


def test_misuse_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        arrival.ArrivalKey(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        KEY.certify(b"short")
