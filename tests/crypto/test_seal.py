"""Sealing goes to exactly the keys of the recipients, or nowhere."""

import os
from dataclasses import replace

import pytest

from e2email_crypto import _sequoia, packets
from e2email_crypto.errors import SealFailed
from e2email_crypto.gate import Recipient, recipient
from e2email_crypto.keyedit import Identity, new_identity
from e2email_crypto.open import OpenWorker
from e2email_crypto.seal import seal
from support import forge
from support.forge import DAY, NOW, SOON, Forged, person


@pytest.fixture(scope="module")
def ann() -> Identity:
    return new_identity("ann@example.org", "Ann", NOW)


@pytest.fixture(scope="module")
def ben() -> Identity:
    return new_identity("ben@example.org", "Ben", NOW, "modern")


def gated(identity: Identity) -> Recipient:
    return recipient(identity.cert, SOON)


def test_both_recipients_open_it(ann: Identity, ben: Identity) -> None:
    message = seal(b"for both", [gated(ann), gated(ben)])
    assert packets.message_key_ids(message) == gated(ann).key_ids | gated(ben).key_ids
    for identity in (ann, ben):
        with OpenWorker(identity.tsk) as worker:
            assert worker.open(message).plaintext == b"for both"


def test_container_follows_the_recipient(ann: Identity, ben: Identity) -> None:
    assert packets.parse_message(seal(b"x", [gated(ann)])).version == 1
    assert packets.parse_message(seal(b"x", [gated(ben)])).version == 2
    # one who knows version 1 only decides for all
    assert packets.parse_message(seal(b"x", [gated(ann), gated(ben)])).version == 1


@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_nothing_is_compressed(profile) -> None:
    to = [gated(new_identity("ann@example.org", "Ann", NOW, profile))]
    zeros, noise = seal(bytes(20_000), to), seal(os.urandom(20_000), to)
    assert abs(len(zeros) - len(noise)) < 50


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_sizes(ann: Identity, size: int) -> None:
    text = os.urandom(size)
    with OpenWorker(ann.tsk) as worker:
        assert worker.open(seal(text, [gated(ann)])).plaintext == text


def test_two_keys_of_one_recipient() -> None:
    key = person()
    key.add()
    to = recipient(key.cert, NOW)
    assert packets.message_key_ids(seal(b"x", [to])) == to.key_ids
    assert len(to.key_ids) == 2


def test_no_recipient_is_an_error() -> None:
    with pytest.raises(SealFailed):
        seal(b"x", [])


def test_a_recipient_whose_keys_are_not_those_of_its_certificate(ann: Identity) -> None:
    good = gated(ann)
    for wrong in (frozenset({"0123456789ABCDEF"}), good.key_ids | {"0123456789ABCDEF"}):
        with pytest.raises(SealFailed):
            seal(b"x", [replace(good, key_ids=wrong)])


def test_a_damaged_reduced_certificate(ann: Identity) -> None:
    with pytest.raises(SealFailed):
        seal(b"x", [replace(gated(ann), reduced=b"junk")])


@pytest.mark.parametrize(
    "output",
    [
        b"clear text",
        b"",
        b"\xcb\xff\0\0\0\x0bb\0\0\0\0\0clear",
    ],
)
def test_a_library_that_returns_anything_else(
    ann: Identity, monkeypatch: pytest.MonkeyPatch, output: bytes
) -> None:
    to = [gated(ann)]
    monkeypatch.setattr(_sequoia, "encrypt", lambda *_: output)
    with pytest.raises(SealFailed):
        seal(b"clear text", to)


def test_a_library_that_adds_a_hidden_recipient(
    ann: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = [gated(ann)]
    message = seal(b"x", to)
    hidden = b"\xc1\xff" + (50).to_bytes(4) + b"\3" + bytes(8) + b"\x12" + bytes(40)
    monkeypatch.setattr(_sequoia, "encrypt", lambda *_: hidden + message)
    with pytest.raises(SealFailed):
        seal(b"x", to)


def test_a_panic_in_the_library_is_our_error(
    ann: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):
        pass

    def panic(*_: object, **__: object) -> bytes:
        raise PanicException("secret in a backtrace")

    to = [gated(ann)]
    monkeypatch.setattr(_sequoia.pysequoia, "encrypt", panic)
    with pytest.raises(SealFailed) as caught:
        seal(b"x", to)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_not_the_librarys_passes_through(
    ann: Identity, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(*_: object, **__: object) -> bytes:
        raise error

    to = [gated(ann)]
    monkeypatch.setattr(_sequoia.pysequoia, "encrypt", interrupted)
    with pytest.raises(error):
        seal(b"x", to)


def silent() -> Forged:
    """A key as Thunderbird makes them: nothing about which containers it reads."""
    key = person()
    over = key.primary.hashed() + b"\xb4" + len(key.user_id).to_bytes(4) + key.user_id
    key.self_sig = forge.signature(key.primary, 0x13, over, forge.sub(27, b"\x03"))
    return key


def test_a_key_that_does_not_say_what_it_reads_gets_the_older_container() -> None:
    key = silent()
    message = seal(b"text", [recipient(key.cert, NOW)])
    assert packets.parse_message(message).version == 1
    with OpenWorker(key.tsk) as worker:
        assert worker.open(message).plaintext == b"text"


@pytest.mark.parametrize("profile", ["compat", "modern"])
def test_and_so_do_all_who_are_sealed_to_with_it(profile) -> None:
    key, other = silent(), new_identity("ann@example.org", "Ann", NOW - DAY, profile)
    both = [recipient(key.cert, SOON), recipient(other.cert, SOON)]
    for order in (both, both[::-1]):
        message = seal(b"text", order)
        for tsk in (key.tsk, other.tsk):
            with OpenWorker(tsk) as worker:
                assert worker.open(message).plaintext == b"text"
