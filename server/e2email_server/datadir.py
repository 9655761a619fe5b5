"""The data directory: its layout, its key files, and the lock that lets one process write.

mail.db, blobs/     the store
keys/               arrival.key (signs envelopes), mac.key (rows), token.key (tokens, invites)
tls/                our own certificate, until the operator names another
admin.sock, lock    while a server runs
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import CryptoError
from e2email_server.config_values import ConfigError

KEY_SIZE = 32
KEYS = "keys"
ARRIVAL, MAC, TOKEN = "arrival.key", "mac.key", "token.key"
LOCK = "lock"


class Locked(ConfigError):
    """Another process holds the data directory."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The server's own secrets. None of them opens mail."""

    arrival: ArrivalKey = field(repr=False)
    mac: bytes = field(repr=False)
    token: bytes = field(repr=False)


def make(data: Path) -> None:
    """The directory with new keys. Raises FileExistsError where keys are already."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / KEYS).mkdir(mode=0o700)
    write_new(data / KEYS / ARRIVAL, ArrivalKey.generate().encode())
    write_new(data / KEYS / MAC, secrets.token_bytes(KEY_SIZE))
    write_new(data / KEYS / TOKEN, secrets.token_bytes(KEY_SIZE))
    sync_folder(data / KEYS)
    sync_folder(data)


def load_keys(data: Path) -> Keys:
    """Raises ConfigError, naming the file."""
    try:
        arrival = ArrivalKey.load(_read(data / KEYS / ARRIVAL))
    except CryptoError as error:
        raise ConfigError(f"{data / KEYS / ARRIVAL}: damaged ({type(error).__name__})") from error
    return Keys(arrival, _random_key(data / KEYS / MAC), _random_key(data / KEYS / TOKEN))


def _random_key(path: Path) -> bytes:
    key = _read(path)
    if len(key) != KEY_SIZE:
        raise ConfigError(f"{path}: damaged (must have {KEY_SIZE} octets)")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "; run e2email-server init first" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"{path}: {error.strerror}{hint}") from None


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the data directory. The kernel lets go when the process ends, however it ends.

    Raises Locked, or ConfigError where there is no such directory.
    """
    path = data / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = "; run e2email-server init first" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"{path}: {error.strerror}{hint}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"{data}: in use by another e2email-server") from None
        yield
    finally:
        os.close(descriptor)


def write_new(path: Path, octets: bytes, mode: int = 0o600) -> None:
    """A file that did not exist, its content durable. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
