"""What an unlocked account works with: encrypted local files, and the workers that open mail."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlcipher3 import dbapi2

from e2email_client.failure import Alarm, LocalFault
from e2email_client.local.bound import Room
from e2email_client.local.cache import open_cache, open_state
from e2email_client.local.chunks import ChunkFiles
from e2email_client.local.cipher import Database, StoreUnreadable
from e2email_client.local.journal import Journal
from e2email_client.local.reserve import Reserve
from e2email_client.unlock import Unlocked

if TYPE_CHECKING:
    from e2email_client.history import History
    from e2email_client.opener import Keys
    from e2email_client.opening import Opening

FULL = 1024 * 1024  # octets; with less SQLite cannot even open its files, and calls it an I/O error
SQL_ERROR = 1  # SQLITE_ERROR: a statement is wrong


@dataclass(frozen=True, slots=True)
class Stores:
    """The two local databases of one account."""

    cache: Database
    state: Database


@contextmanager
def open_stores(unlocked: Unlocked) -> Iterator[Stores]:
    """Alarm where state.db is damaged, LocalFault where the disk says no, then or later."""
    try:
        with _opened(unlocked) as stores:
            yield stores
    except dbapi2.OperationalError as fault:
        if getattr(fault, "sqlite_errorcode", None) == SQL_ERROR:
            raise  # a fault of ours
        # locked or a full disk; the text is the library's own and quotes no row
        full = shutil.disk_usage(unlocked.paths.folder).free < FULL
        why = "the disk is full" if full else fault
        raise LocalFault(f"The local store cannot be used: {why}.") from fault


@contextmanager
def _opened(unlocked: Unlocked) -> Iterator[Stores]:
    keys = unlocked.vault.store_keys
    try:
        chunks = ChunkFiles(unlocked.paths.chunks, keys.chunks)
        cache = open_cache(unlocked.paths.cache_db, keys.cache_db, chunks)
        try:
            state = open_state(unlocked.paths.state_db, keys.state_db)
        except BaseException:
            cache.close()
            raise
    except StoreUnreadable as fault:
        raise Alarm(f"The local store: {fault}.") from fault
    except OSError as fault:
        raise LocalFault(f"The local store cannot be opened: {fault.strerror}.") from fault
    try:
        yield Stores(cache, state)
    finally:
        cache.close()
        state.close()


def open_journal(unlocked: Unlocked, stores: Stores) -> Journal:
    """For who changes something. Holds room on the disk from here on. LocalFault."""
    reserve = Reserve(unlocked.paths.reserve)
    reserve.hold()
    return Journal(stores.state, reserve)


def open_room(unlocked: Unlocked, stores: Stores) -> Room:
    """The bound of the account's settings."""
    return Room(stores.cache, unlocked.settings.cache_mib * 1024 * 1024)


def open_opening(unlocked: Unlocked, workers: int = 2, history: History | None = None) -> Opening:
    """The workers that hold the account's secret keys, and follow `history`; the caller closes
    them."""
    # the cryptographic libraries are loaded by those who open mail, not by every command
    from e2email_client.history import History
    from e2email_client.opening import Opening

    followed = history or History(unlocked)
    opening = Opening(_keys(unlocked, followed), _secret_keys(followed), workers)
    followed.on_change(lambda: opening.use(_keys(unlocked, followed), _secret_keys(followed)))
    return opening


def _keys(unlocked: Unlocked, history: History) -> Keys:
    from e2email_client.held_vault import opening_key_ids
    from e2email_client.opener import Keys

    return Keys(
        account=unlocked.settings.address,
        stated_key_ids=tuple(one.key_ids for one in history.statements()),
        signers=tuple(
            {
                unlocked.vault.arrival_key,
                bytes.fromhex(unlocked.settings.arrival_key),  # perhaps its successor, verified
            }
        ),
        certificates=tuple(history.certificates()),
        device=history.device,
        held_key_ids=opening_key_ids(history.vault().identities),
        unstated=history.unstated,
    )


def _secret_keys(history: History) -> list[bytes]:
    return [one.tsk for one in history.vault().identities]
