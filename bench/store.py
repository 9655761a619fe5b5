"""Deliveries a second and CPU-ms each, for the store alone and for plain sqlite3 beside it.

.venv/bin/python bench/store.py [messages]
"""

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from e2email_server.store.engine import write_engine
from e2email_server.store.migrate import migrate
from e2email_server.store.types import NewMessage
from support.store_data import message, new_account, sql_store

BODY, ENVELOPE = os.urandom(4300), os.urandom(1500)
RUNS = ((1, 1), (10, 10), (10, 1), (50, 10), (100, 10))


def line(name: str, count: int, wall: float, cpu: float, times: list[float]) -> None:
    late = ""
    if times:
        times.sort()
        median, worst = times[len(times) // 2], times[len(times) * 99 // 100]
        late = f"  p50 {median * 1e3:6.2f} ms  p99 {worst * 1e3:6.2f} ms"
    print(f"{name:38s} {count / wall:8.0f}/s  {cpu / count * 1e3:.3f} CPU-ms{late}")


def mail(mailbox: int) -> NewMessage:
    made = message(mailbox, BODY)
    return replace(made, record=replace(made.record, record_id=os.urandom(16), envelope=ENVELOPE))


async def store(connections: int, accounts: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = await sql_store(Path(folder))
        boxes = [
            (await made.register(new_account(f"u{n}@example.test"), None)).inbox
            for n in range(accounts)
        ]
        mails = iter([mail(boxes[n % accounts]) for n in range(count)])
        times: list[float] = []

        async def deliver(source: Iterator[NewMessage]) -> None:
            for one in source:
                begun = time.perf_counter()
                await made.deliver([one])
                times.append(time.perf_counter() - begun)

        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(deliver(mails) for _ in range(connections)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        line(f"store, {connections} at a time, {accounts} mailboxes", count, wall, cpu, times)
        await made.close()


def plain(batch: int, count: int) -> None:
    """The same tables and rows, no Python around them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mail.db"
        migrate(path)
        engine = write_engine(path)
        connection = engine.raw_connection()
        wall, cpu = time.perf_counter(), time.process_time()
        for first in range(0, count, batch):
            numbers = range(first + 1, min(count, first + batch) + 1)
            _commit(connection.driver_connection, numbers)  # type: ignore[arg-type]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        line(f"plain sqlite3, {batch} a commit", count, wall, cpu, [])
        connection.close()
        engine.dispose()


def _commit(connection: sqlite3.Connection, numbers: range) -> None:
    records = [
        (n, "sealed", 1, "sealed", b"Subject: [...]\r\n", b"b" * 24, ENVELOPE, 4300, 7)
        for n in numbers
    ]
    messages = [(1, n, n, "", 0, 0, 0, os.urandom(16), n, 0) for n in numbers]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO records VALUES (?,?,?,?,?,?,?,?,?)", records)
    connection.executemany("INSERT INTO bodies VALUES (?,?)", [(n, BODY) for n in numbers])
    connection.executemany("INSERT INTO messages VALUES (?,?,?,?,?,?,?,?,?,?)", messages)
    connection.execute("UPDATE mailboxes SET uidnext = 1")
    connection.execute("COMMIT")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    for batch in (1, 10, 50):
        plain(batch, count)
    for connections, accounts in RUNS:
        asyncio.run(store(connections, accounts, count))


if __name__ == "__main__":
    main()
