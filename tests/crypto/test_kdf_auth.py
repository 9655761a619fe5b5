"""The server's hash of `auth`."""

import pytest

from e2email_crypto import auth, errors


def test_there_and_back() -> None:
    stored = auth.hash_auth(b"a" * 32)
    assert len(stored) == 57
    assert auth.check_auth(b"a" * 32, stored)
    assert not auth.check_auth(b"b" * 32, stored)
    assert stored != auth.hash_auth(b"a" * 32)


def test_a_stored_hash_cannot_ask_for_memory_or_weaken_itself() -> None:
    for cost in (b"\0\0\0\3" + b"\x7f\xff\xff\xff", b"\0\0\0\1" + b"\0\0\0\x08"):
        with pytest.raises(errors.KdfRefused):
            auth.check_auth(b"a" * 32, b"\1" + cost + bytes(16) + bytes(32))


@pytest.mark.parametrize("stored", [b"", b"\1", b"\1" + bytes(20)])
def test_a_damaged_hash_is_no_match(stored: bytes) -> None:
    with pytest.raises(errors.Damaged):
        auth.check_auth(b"a" * 32, stored)


def test_auth_has_a_length() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        auth.hash_auth(b"")
