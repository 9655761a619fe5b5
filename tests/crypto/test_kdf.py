"""Passphrase to keys: RFC 5869, limits before memory, what reprs tell."""

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from e2email_crypto import _sodium, errors, kdf


def test_hkdf_is_rfc_5869() -> None:
    # appendix A.3: empty salt and info; the first 32 octets of its output
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert kdf.hkdf(b"\x0b" * 22).hex() == expected


def test_hkdf_labels_cannot_run_into_each_other() -> None:
    assert kdf.hkdf(b"k", b"ab", b"c") != kdf.hkdf(b"k", b"a", b"bc")


def test_argon2id_is_what_openssl_computes() -> None:
    # libsodium takes 16 octets of salt and one lane only, so RFC 9106's own vectors do not fit
    salt = bytes(range(16))
    other = Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=kdf.M_KIB_MIN)
    assert _sodium.argon2id(b"secret", salt, 3, kdf.M_KIB_MIN) == other.derive(b"secret")


@pytest.mark.parametrize(
    ("t", "m_kib"),
    [(2, 65536), (11, 65536), (10**9, 65536), (3, 65535), (3, 2**20 + 1), (3, 2**31), (0, 0)],
)
def test_cost_outside_the_limits_never_reaches_argon2(
    t: int, m_kib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sodium, "argon2id", lambda *_: pytest.fail("memory was taken"))
    with pytest.raises(errors.KdfRefused):
        kdf.Params(t, m_kib, bytes(16))
    with pytest.raises(errors.KdfRefused):
        kdf.Params.decode(b"\x01" + t.to_bytes(4) + m_kib.to_bytes(4) + bytes(16))


def test_the_edges_themselves_are_allowed() -> None:
    for t, m_kib in [(3, 64 * 1024), (10, 1024 * 1024)]:
        params = kdf.Params.generate(t, m_kib)
        assert kdf.Params.decode(params.encode()) == params


def test_defaults() -> None:
    params = kdf.Params.generate()
    assert (params.t, params.m_kib) == (3, 256 * 1024)
    assert params.salt != kdf.Params.generate().salt


def test_no_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise _sodium.exceptions.RuntimeError

    monkeypatch.setattr(_sodium.bindings, "crypto_pwhash_alg", fail)
    with pytest.raises(errors.KdfRefused, match="no memory"):
        kdf.split("x", kdf.Params.generate(), "a@b", "s")


def test_a_split_tells_nothing_in_its_repr() -> None:
    assert repr(kdf.Split(b"A" * 32, b"B" * 32)) == "Split()"


@pytest.mark.parametrize("name", ["", "x" * 321])
def test_names_have_a_length(name: str) -> None:
    with pytest.raises(ValueError, match="octets"):
        kdf.split("x", kdf.Params.generate(3, 65536), name, "s")
