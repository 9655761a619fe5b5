"""Random days: the server comes and goes, others change the same mail; a model knows the end."""

import random
from collections.abc import AsyncIterator

import pytest

from e2email_client.local import contents
from support.home import Home, eventually, home
from support.sealed_face import house

MAILS = 12
STEPS = 60
OURS = ("\\Seen", "\\Answered", "work", "$label1")  # what the program changes
THEIRS = ("\\Flagged", "elsewhere")  # what another machine changes meanwhile
OPERATIONS = ("+FLAGS", "-FLAGS", "FLAGS")


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server:
        await server.deliver(*(mail(number) for number in range(1, MAILS + 1)))
        async with home(server, tmp_path, monkeypatch) as made:
            await made.shown(*range(1, MAILS + 1))
            yield made


class Day:
    """What the program and the other machine did, and what must come of it."""

    def __init__(self, here: Home, other, seed: int) -> None:
        self._here, self._other = here, other
        self._random = random.Random(seed)
        self.flags: dict[int, set[str]] = {uid: set() for uid in range(1, MAILS + 1)}

    async def step(self) -> None:
        acts = [self.store] * 6 + [self.elsewhere] * 2 + [self.expunge] + [self.toggle] * 2
        await self._random.choice(acts)()

    def _some(self) -> list[int]:
        uids = sorted(self.flags)
        return sorted(self._random.sample(uids, self._random.randint(1, min(4, len(uids)))))

    async def store(self) -> None:
        operation = self._random.choice(OPERATIONS)
        flags = set(self._random.sample(OURS, self._random.randint(0, 2)))
        uids = self._some()
        if operation == "FLAGS":
            uids = uids[:1]
            if not self._here.down:
                # it replaces what is there, also what was not heard of yet (RFC 9051, 6.4.6)
                await eventually(lambda: self._here.live.online and self.shown() == self.flags)
            # what the program sees of the other machine's it leaves
            local = self._here.local()
            seen = contents.server_flags(self._here.cache, local.id)[uids[0]]
            flags |= seen & set(THEIRS)
        await self._here.live.writing.store(self._here.local(), uids, operation, flags)
        for uid in uids:
            mine = self.flags[uid] & set(OURS)
            theirs = self.flags[uid] - set(OURS)
            if operation == "+FLAGS":
                mine |= flags
            elif operation == "-FLAGS":
                mine -= flags
            else:
                mine = flags & set(OURS)
            self.flags[uid] = mine | theirs

    async def elsewhere(self) -> None:
        operation = self._random.choice(OPERATIONS[:2])
        flag = self._random.choice(THEIRS)
        uids = self._some()
        await self._other.store(uids, operation, [flag])
        for uid in uids:
            (set.add if operation == "+FLAGS" else set.discard)(self.flags[uid], flag)

    async def expunge(self) -> None:
        if len(self.flags) > 4:
            uid = self._random.choice(sorted(self.flags))
            writing, local = self._here.live.writing, self._here.local()
            await writing.store(local, [uid], "+FLAGS", ["\\Deleted"])
            assert await writing.expunge(local, [uid]) == [uid]
            del self.flags[uid]

    async def toggle(self) -> None:
        if self._here.down:
            self._here.down = False
            if self._random.random() < 0.5:
                await eventually(lambda: self._here.live.online)
        else:
            self._here.lose()

    def shown(self) -> dict[int, set[str]]:
        local = self._here.local()
        found = contents.server_flags(self._here.cache, local.id)
        return {uid: set(flags) for uid, flags in found.items()}


@pytest.mark.parametrize("seed", range(6))
async def test_in_the_end_everybody_has_the_same_and_it_is_right(here: Home, seed: int) -> None:
    other = await here.remote()
    await other.select("INBOX")
    day = Day(here, other, seed)
    for _ in range(STEPS):
        await day.step()
        # what the program did is on its screen at once, whatever the server says
        ours = {uid: flags & set(OURS) for uid, flags in day.shown().items()}
        assert ours == {uid: flags & set(OURS) for uid, flags in day.flags.items()}
    here.down = False
    await eventually(lambda: here.live.online and not here.journal.anything_pending())
    await other.noop()
    there = {uid: set(flags) for uid, flags in await other.flags(1, MAILS)}
    assert there == day.flags
    await eventually(lambda: day.shown() == day.flags)
    other.close()
