"""A replay of a journal that ends at a step of one's choice: a command, a write to a database.

As a program (`python -m support.replaying PORT TOKEN FOLDER STEP`) it ends by SIGKILL.
"""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2email_client.local import cache, contents, mailboxes
from e2email_client.local.contents import Skeleton
from e2email_client.local.entries import Change, Place
from e2email_client.local.journal import Journal
from e2email_client.local.reserve import Reserve
from e2email_client.replay import Replay
from e2email_client.upstream import Remote
from e2email_client.upstream.wire import Wire

ADDRESS = "alice@example.test"
WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SEEN, FLAGGED, WORK = frozenset({"\\Seen"}), frozenset({"\\Flagged"}), frozenset({"work"})
NONE: frozenset[str] = frozenset()
# What the server has when all of it is done; UID 6 is what is appended.
INBOX_AFTER = {1: {"\\Seen"}, 2: {"work"}, 4: set(), 5: set(), 6: {"\\Seen"}}
BOX_AFTER = {1: {"\\Flagged"}}


class Crash(Exception):
    """The power failed."""


class Steps:
    """Everything a replay does to the world, in order; at one of them it ends."""

    def __init__(self, end: int, crash: Callable[[], None], *, after: bool = False) -> None:
        self.count = 0
        self._end, self._crash, self._after = end, crash, after

    def _due(self) -> bool:
        self.count += 1
        return self.count - 1 == self._end

    def act(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any) -> Any:
            due = self._due()
            if due and not self._after:
                self._crash()
            said = real(*arguments)
            if due:
                self._crash()
            return said

        return stepped

    def wait(self, real: Callable[..., Any]) -> Callable[..., Any]:
        async def stepped(*arguments: Any) -> Any:
            due = self._due()
            if due and not self._after:
                self._crash()
            said = await real(*arguments)
            if due:
                self._crash()
            return said

        return stepped


class Files:
    """The files of one account, with a journal."""

    def __init__(self, folder: Path) -> None:
        self.cache = cache.open_cache(folder / "cache.db", bytes(32))
        self.state = cache.open_state(folder / "state.db", bytes(32))
        self.journal = Journal(self.state, Reserve(folder / "reserve"))
        self.replay = Replay(self.journal, self.cache, folder / "replay.lock")

    def close(self) -> None:
        self.cache.close()
        self.state.close()


async def promise(place: Files, remote: Remote, record: bytes) -> None:
    """What leads to INBOX_AFTER and BOX_AFTER from five mails and two."""
    validities, mails = {}, {}
    for name, count in (("INBOX", 5), ("Box", 2)):
        validity = validities[name] = (await remote.select(name)).uidvalidity
        mails[name] = await remote.email_ids(range(1, count + 1))
        local = mailboxes.put(place.cache, name, validity, None, True)
        found = [Skeleton(uid, mails[name][uid], NONE, 0) for uid in range(1, count + 1)]
        contents.add(place.cache, local.id, found)
        mailboxes.listed(place.cache, local.id, uidnext=count + 1, upstream_modseq=1)
    here, there = Place("INBOX", "", validities["INBOX"]), Place("Box", "", validities["Box"])
    place.journal.flags(here, [Change((1, 2), SEEN, NONE)])
    place.journal.flags(there, [Change((1,), FLAGGED, NONE)])
    place.journal.flags(here, [Change((2,), WORK, SEEN)])
    place.journal.delete(here, [3], mails["INBOX"])
    place.journal.queue_append(here, record, SEEN, WHEN)
    place.journal.delete(there, [2], mails["Box"])
    place.journal.flags(here, [Change((3,), FLAGGED, NONE)])


async def replayed(
    place: Files, remote: Remote, steps: Steps, patch: Callable[..., None] = setattr
) -> None:
    patch(remote._wire, "run", steps.wait(remote._wire.run))
    patch(place.journal, "done", steps.act(place.journal.done))
    patch(contents, "tell", steps.act(contents.tell))
    await place.replay.run(remote)


async def _main(port: int, token: str, folder: Path, step: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    wire = Wire("127.0.0.1", port, "localhost", context, lambda _: None)
    await wire.greet()
    await wire.run(f'LOGIN {ADDRESS} "{token}"'.encode())
    place = Files(folder)
    steps = Steps(step, lambda: os.kill(os.getpid(), signal.SIGKILL))
    await replayed(place, Remote(wire), steps)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
