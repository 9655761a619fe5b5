"""The vault of an account in a program that runs: another program of this machine may replace it.

That one was given the passphrase; this one has the account key in memory and reads the new vault.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from e2email_client import config
from e2email_client.failure import ClientError
from e2email_client.files import read_private
from e2email_client.unlock import Unlocked, open_vault
from e2email_crypto.cert import read_packets
from e2email_crypto.errors import BadMessage, KeyRefused
from e2email_crypto.packets import PUBLIC_SUBKEY, key_facts
from e2email_crypto.vault import Identity, Vault

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class HeldVault:
    """The newest vault that this machine has. Thread-safe."""

    def __init__(self, unlocked: Unlocked) -> None:
        self._unlocked = unlocked
        self._stamp = replaced(unlocked.paths.vault)
        self._lock = threading.Lock()
        self._vault = unlocked.vault

    def __repr__(self) -> str:
        return f"HeldVault({self._unlocked.settings.address}, {self._vault.counter})"

    @property
    def now(self) -> Vault:
        return self._vault

    def look(self) -> bool:
        """Whether there is another one than before; a file is read only after it was replaced.

        One that this program cannot open leaves it with what it has, and is said once.
        """
        with self._lock:
            stamp = replaced(self._unlocked.paths.vault)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            try:
                found = self._read()
            except ClientError as fault:
                log.warning(
                    "the keys on this machine were changed: stop and start e2email-proxy (%s)",
                    fault,
                )
                return False
            changed = found.counter > self._vault.counter
            if changed:
                self._vault = found
            return changed

    def _read(self) -> Vault:
        paths = self._unlocked.paths
        return open_vault(read_private(paths.vault), self._unlocked.key, config.load(paths))


def replaced(path: Path) -> Stamp | None:
    """Another value after each time that the file was replaced: a new one is renamed to its
    name."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def opening_key_ids(identities: Iterable[Identity]) -> frozenset[str]:
    """Key ids of all subkeys of these: what a vault can open, whatever else it is sealed to."""
    return frozenset(one for identity in identities for one in subkey_ids(identity.certificate))


def subkey_ids(certificate: bytes) -> list[str]:
    """Key ids of all its subkeys, whatever their state; none where it cannot be read."""
    try:
        found = read_packets(certificate)
        return [key_facts(one.body).key_id for one in found if one.tag == PUBLIC_SUBKEY]
    except (KeyRefused, BadMessage):
        return []  # imported for reading: what it opens it opens
