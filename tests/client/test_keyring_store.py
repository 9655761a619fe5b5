"""Only a keyring that encrypts is used, and a locked or broken one is no catastrophe."""

import sys
import types

import pytest
from keyring.backends.chainer import ChainerBackend
from keyring.backends.fail import Keyring as FailKeyring
from keyring.backends.null import Keyring as NullKeyring
from keyring.errors import KeyringLocked, PasswordDeleteError, PasswordSetError

from e2email_client.failure import LocalFault
from e2email_client.keyring_store import KeyringStore, find_keyring, real_backend

SECRET = bytes(range(32))


class Memory:
    """A backend that works."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


class Broken:
    """A backend whose daemon is locked."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked

    def set_password(self, service: str, username: str, password: str) -> None:
        raise PasswordSetError(f"cannot store {password}")

    def delete_password(self, service: str, username: str) -> None:
        raise KeyringLocked


def posing_as(module: str) -> object:
    """An object whose class claims to come from that module."""
    return type("Keyring", (), {"__module__": module})()


def test_save_load_remove() -> None:
    backend = Memory()
    store = KeyringStore(backend)
    assert store.load("a@b", "server") is None
    store.save("a@b", "server", SECRET)
    assert store.load("a@b", "server") == SECRET
    assert store.load("a@b", "other") is None
    assert list(backend.kept) == [("e2email", "a@b at server")]
    store.remove("a@b", "server")
    store.remove("a@b", "server")
    assert store.load("a@b", "server") is None


def test_a_locked_keyring_means_the_passphrase() -> None:
    store = KeyringStore(Broken())
    assert store.load("a@b", "server") is None
    with pytest.raises(LocalFault) as caught:
        store.save("a@b", "server", SECRET)
    assert "AAEC" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(LocalFault):
        store.remove("a@b", "server")


def test_what_somebody_else_wrote_there_is_no_secret() -> None:
    backend = Memory()
    backend.kept["e2email", "a@b at server"] = "not base64!"
    assert KeyringStore(backend).load("a@b", "server") is None


@pytest.mark.parametrize(
    "backend",
    [
        FailKeyring(),
        NullKeyring(),
        posing_as("keyrings.alt.file"),
        posing_as("keyrings.cryptfile.cryptfile"),
        posing_as("somebody.backends.SecretService"),
        Memory(),
    ],
    ids=["fail", "null", "plaintext", "cryptfile", "foreign", "unknown"],
)
def test_refused_backends(backend: object) -> None:
    assert real_backend(backend) is None


@pytest.mark.parametrize("name", ["SecretService", "kwallet", "libsecret", "macOS"])
def test_real_backends(name: str) -> None:
    backend = posing_as(f"keyring.backends.{name}")
    assert real_backend(backend) is backend


def test_a_plaintext_file_ahead_in_the_chain_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = posing_as("keyring.backends.SecretService")
    chain = [posing_as("keyrings.alt.file"), good]
    monkeypatch.setattr(ChainerBackend, "backends", chain)
    assert real_backend(ChainerBackend()) is good
    monkeypatch.setattr(ChainerBackend, "backends", chain[:1])
    assert real_backend(ChainerBackend()) is None


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    poison = types.ModuleType("keyring")  # asking it for a keyring would fail
    monkeypatch.setitem(sys.modules, "keyring", poison)
    assert find_keyring(wanted=False) is None
    monkeypatch.setenv("E2EMAIL_KEYRING", "off")
    assert find_keyring() is None
