"""The keyring of the operating system, where there is a real one.

keyring's own choice is not trusted: with keyrings.alt installed it offers a plaintext file, and
on a headless machine a backend that only fails. Only backends known to encrypt are used.
"""

import base64
import binascii
import os
from typing import Any, Protocol

from e2email_client.failure import LocalFault

SERVICE = "e2email"
OFF_VARIABLE = "E2EMAIL_KEYRING"
REAL_BACKENDS = frozenset(
    {
        "keyring.backends.SecretService",
        "keyring.backends.libsecret",
        "keyring.backends.kwallet",
        "keyring.backends.macOS",
    }
)


class Backend(Protocol):
    """What is used of a backend of the keyring package."""

    def get_password(self, service: str, username: str) -> str | None: ...

    def set_password(self, service: str, username: str, password: str) -> None: ...

    def delete_password(self, service: str, username: str) -> None: ...


class KeyringStore:
    """Secrets of 32 octets, by account and server name."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def load(self, address: str, server_name: str) -> bytes | None:
        """None when there is none, or the keyring stays locked: then the passphrase is used."""
        from keyring.errors import KeyringError

        try:
            text = self._backend.get_password(SERVICE, _user(address, server_name))
        except KeyringError:
            return None
        try:
            return base64.b64decode(text, validate=True) if text else None
        except (binascii.Error, ValueError):
            return None

    def save(self, address: str, server_name: str, secret: bytes) -> None:
        """LocalFault when the keyring does not take it."""
        from keyring.errors import KeyringError

        text = base64.b64encode(secret).decode("ascii")
        try:
            self._backend.set_password(SERVICE, _user(address, server_name), text)
        except KeyringError:
            # the backend's text could quote what it was given
            raise LocalFault("The keyring did not store the key; try --no-keyring.") from None

    def remove(self, address: str, server_name: str) -> None:
        """Nothing happens when there is none."""
        from keyring.errors import KeyringError, PasswordDeleteError

        try:
            self._backend.delete_password(SERVICE, _user(address, server_name))
        except PasswordDeleteError:
            return
        except KeyringError:
            raise LocalFault("The keyring did not remove the key.") from None


def _user(address: str, server_name: str) -> str:
    return f"{address} at {server_name}"


def find_keyring(wanted: bool = True) -> KeyringStore | None:
    """The machine's keyring, or None: not wanted, switched off, or no backend that encrypts."""
    if not wanted or os.environ.get(OFF_VARIABLE, "").lower() == "off":
        return None
    import keyring  # a quarter of a second: only when it is really used

    backend = real_backend(keyring.get_keyring())
    return None if backend is None else KeyringStore(backend)


def real_backend(offered: Any) -> Backend | None:
    """The first backend that encrypts: `offered` itself, or one that a chainer holds."""
    chained = type(offered).__module__ == "keyring.backends.chainer"
    candidates: list[Any] = offered.backends if chained else [offered]
    return next((one for one in candidates if type(one).__module__ in REAL_BACKENDS), None)
