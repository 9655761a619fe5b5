"""Values for tests of the store: records that look real to it and are not."""

import itertools
from pathlib import Path

from e2email_protocol.sealed.record import Form, Policy, Record
from e2email_server.store.api import Store
from e2email_server.store.disk import FreeSpace
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.sql import SqlStore, open_store
from e2email_server.store.types import (
    Box,
    Certificate,
    Kdf,
    NewAccount,
    NewMessage,
    Placed,
    Statement,
)

MAC_KEY = b"k" * 32
NO_FLOOR = (0, 0)
_numbers = itertools.count(1)


class TestClock:
    """A clock that a test moves."""

    __test__ = False

    def __init__(self, time: int = 1_700_000_000) -> None:
        self.time = time

    def __call__(self) -> int:
        return self.time


def record(body: bytes = b"body", record_id: bytes | None = None) -> Record:
    """A record; its id is new unless given."""
    return Record(
        record_id=record_id or next(_numbers).to_bytes(16, "big"),
        form=Form.SEALED,
        version=1,
        policy=Policy.SEALED,
        outer=b"Subject: [...]\r\n",
        boundary=b"b" * 24,
        envelope=b"envelope",
        crc=77,
        body_size=len(body),
        body=body,
    )


def message(mailbox_id: int, body: bytes = b"body", **changes: object) -> NewMessage:
    """A message for a mailbox; `flags`, `record`, `internal_date`, `size` may be given."""
    values: dict[str, object] = {
        "record": record(body),
        "size": len(body) + 100,
        "header_size": 90,
        "internal_date": 1_600_000_000,
    }
    return NewMessage(mailbox_id=mailbox_id, **(values | changes))  # type: ignore[arg-type]


async def append_one(store: Store, message: NewMessage) -> Placed:
    (placed,) = await store.append([message])
    return placed


def new_account(address: str = "alice@example.test") -> NewAccount:
    """Everything that registration brings."""
    return NewAccount(
        address=address,
        policy=Policy.SEALED,
        kdf=Kdf(3, 65536, b"s" * 16),
        auth_hash="$argon2id$...",
        certificates=(Certificate("AB" * 20, b"certificate of " + address.encode()),),
        statement=Statement(1, b"statement 1"),
        boxes=(Box("slots", 1, b"slots"), Box("vault", 1, b"vault")),
    )


async def sql_store(folder: Path, clock: TestClock | None = None) -> SqlStore:
    """A store in a folder, with no floor of free space."""
    space = FreeSpace(folder, *NO_FLOOR)
    return await open_store(folder, RowMacs(MAC_KEY), space, clock or TestClock())
