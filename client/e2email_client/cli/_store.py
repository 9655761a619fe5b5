"""The local store of an account, for commands: open, with a mailbox found, errors in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlcipher3 import dbapi2

from e2email_client import clean
from e2email_client.cli._options import Access
from e2email_client.failure import Alarm, NotThere
from e2email_client.local import mailboxes
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.stores import Stores, open_stores

if TYPE_CHECKING:
    from e2email_client.unlock import Unlocked

NEVER = "There is no mail on this machine yet: run e2email sync."


@contextmanager
def opened(access: Access) -> Iterator[tuple[Unlocked, Database]]:
    """The open account and its cache. Raises what Access.unlock does."""
    with opened_whole(access) as (unlocked, stores):
        yield unlocked, stores.cache


@contextmanager
def opened_whole(access: Access) -> Iterator[tuple[Unlocked, Stores]]:
    """The same with state.db, for who changes something."""
    unlocked = access.unlock()
    try:
        with open_stores(unlocked) as stores:
            yield unlocked, stores
    except dbapi2.OperationalError:
        raise  # a fault of ours
    except dbapi2.DatabaseError as fault:
        path = unlocked.paths.cache_db
        raise Alarm(f"{path} is damaged; delete it and run e2email sync.") from fault


def require_synced(cache: Database) -> None:
    """NotThere where nothing was ever fetched."""
    if not mailboxes.every(cache):
        raise NotThere(NEVER)


def find_mailbox(cache: Database, name: str) -> Mailbox:
    """Raises NotThere. INBOX in any case (RFC 9051, section 5.1)."""
    found = mailboxes.named(cache, "INBOX" if name.upper() == "INBOX" else name)
    if found is None:
        require_synced(cache)
        raise NotThere(f"There is no mailbox {clean.line(name)}; see e2email list --mailboxes.")
    return found
