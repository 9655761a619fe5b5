"""Old mail under today's keys: fetched sealed, sealed anew here, and put in the place of the old.

The server's list of what is not sealed to the newest statement is the progress: nothing is kept
here, and the next run goes on from whatever was done. A mail changes on the server in one step, if
it is still the form that was fetched; before, its new form was opened again and gave the same
octets. So it can be read at every moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from e2email_client.api import AccountApi
from e2email_client.device_seal import DeviceSealer
from e2email_client.failure import Incomplete, Refused
from e2email_client.fetching import opened_connection
from e2email_client.filling import Batch, by_octets
from e2email_client.history import History
from e2email_client.local import mailboxes, mails
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.opening import Opening
from e2email_client.standing import syncing
from e2email_client.sync import Stale, Sync
from e2email_client.unlock import Unlocked
from e2email_client.unreadable import Later, Unreadable
from e2email_protocol import account as messages
from e2email_protocol.sealed import reseal

# What another run, or another machine, did meanwhile: the mail is not what was fetched.
MOVED_ON = frozenset({"conflict", "not-found"})
LATER = "It needs keys that this machine does not have: run e2email account refresh."
# While another program serves mail on this machine, half of the time is left to it.
REST = 1.0


@dataclass(frozen=True, slots=True)
class Unopened:
    """A mail that stays as it is. `why` is a sentence for the user."""

    mailbox: str
    uid: int
    why: str


@dataclass(slots=True)
class Tally:
    """How far it is. `pending` had old keys when it began, wherever they lie."""

    pending: int = 0
    listed: int = 0  # of these, what lies in a mailbox that is known here
    resealed: int = 0
    kept: int = 0  # of these, what its sender encrypted, to earlier keys alone: that stays
    skipped: int = 0  # changed or deleted meanwhile
    octets: int = 0  # of what was sealed anew, as the server holds it
    seconds: float = 0.0
    unopened: list[Unopened] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.resealed + self.skipped + len(self.unopened)


Report = Callable[[Tally], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """`limit`: at most so many mails in this run. `oldest`: in that order, else newest first."""

    limit: int | None = None
    oldest: bool = False
    dry_run: bool = False


def pending(unlocked: Unlocked) -> list[str]:
    """EMAILIDs of all mail that is not sealed to the newest statement's keys, as the server says.

    Raises Offline, Refused, BadServer.
    """
    api, found, after = AccountApi(unlocked.server), list[str](), ""
    while True:
        path = f"/v1/records?sealed-to=other{after}"
        page = api.call("GET", path, messages.RecordList, login=unlocked.login)
        found += [f"E{one}" for one in page.records]
        if page.after is None:
            return found
        after = f"&after={page.after}"


class Resealing:
    """One run over an account. `history` was refreshed, and the vault is not behind it."""

    def __init__(
        self,
        unlocked: Unlocked,
        cache: Database,
        history: History,
        sealer: DeviceSealer,
        report: Report,
    ) -> None:
        self._unlocked = unlocked
        self._cache = cache
        self._history = history
        self._sealer = sealer
        self._report = report
        self._api = AccountApi(unlocked.server)
        self.tally = Tally()

    async def run(self, wish: Wish) -> Tally:
        """Raises Offline, Refused, BadServer; what was done until then stays done."""
        began = time.monotonic()
        left = set(await asyncio.to_thread(pending, self._unlocked))
        self.tally.pending = len(left)
        async with opened_connection(self._unlocked, self._history) as (remote, opening):
            sync = Sync(self._cache, opening, remote, reads_only=True)
            plan = await self._plan(sync, left, wish)
            self.tally.listed = sum(len(batch) for _, batch in plan)
            with self._api.keeping():  # an exchange that is said twice is refused the second time
                for local, batch in () if wish.dry_run else plan:
                    started = time.monotonic()
                    await self._batch(sync, opening, local, batch)
                    self.tally.seconds = time.monotonic() - began
                    self._report(self.tally)
                    await self._rest(time.monotonic() - started)
        self.tally.seconds = time.monotonic() - began
        return self.tally

    async def _plan(self, sync: Sync, left: set[str], wish: Wish) -> list[tuple[Mailbox, Batch]]:
        """Each mail once, though it may lie in several mailboxes."""
        room = wish.limit if wish.limit is not None else len(left)
        plan: list[tuple[Mailbox, Batch]] = []
        for local in await asyncio.to_thread(mailboxes.every, self._cache):
            found = await asyncio.to_thread(mails.within, self._cache, local.id, left)
            found = found[::-1] if wish.oldest else found
            found = found[:room]
            room -= len(found)
            left -= {email_id for _, email_id in found}
            sizes = await asyncio.to_thread(
                mails.sizes, self._cache, local.id, [u for u, _ in found]
            )
            plan += [(local, batch) for batch in by_octets(found, sizes)]
        return plan

    async def _batch(self, sync: Sync, opening: Opening, local: Mailbox, batch: Batch) -> None:
        ids = dict(batch)
        try:
            async with sync.turn(local, urgent=False) as remote:
                fetched = await remote.bodies(list(ids))
        except Stale:
            self.tally.skipped += len(batch)
            return
        self.tally.skipped += len(ids.keys() - {uid for uid, _ in fetched})
        place = {uid: number for number, uid in enumerate(ids)}
        fetched.sort(key=lambda one: place.get(one[0], 0), reverse=True)
        while fetched:
            uid, octets = fetched.pop()  # in the order asked for; large mail is let go one by one
            if uid in ids:
                await self._one(opening, local, uid, ids[uid], octets)

    async def _one(
        self, opening: Opening, local: Mailbox, uid: int, email_id: str, octets: bytes
    ) -> None:
        try:
            size, kept = await asyncio.to_thread(self._reseal, opening, email_id, octets)
        except Unreadable as why:
            self.tally.unopened.append(Unopened(local.name, uid, str(why)))
        except Later:
            self.tally.unopened.append(Unopened(local.name, uid, LATER))
        else:
            self.tally.octets += size
            self.tally.resealed += size > 0
            self.tally.kept += kept
            self.tally.skipped += size == 0

    def _reseal(self, opening: Opening, email_id: str, octets: bytes) -> tuple[int, bool]:
        """Octets of the new form (0: there is another one on the server by now), and whether an
        encryption to earlier keys stays inside."""
        sealer = self._sealer.sealer(int(time.time()))
        old, made = opening.resealed(email_id, octets, sealer)
        wish = made.encode()
        path = f"/v1/records/{email_id[1:]}?old={reseal.digest(old).hex()}"
        try:
            self._api.call("PUT", path, messages.Nothing, wish, self._unlocked.login)
        except Refused as refused:
            if refused.code not in MOVED_ON:
                raise
            return 0, False
        return len(wish), bool(made.senders) and made.senders.isdisjoint(sealer.key_ids)

    async def _rest(self, worked: float) -> None:
        if await asyncio.to_thread(syncing, self._unlocked):
            await asyncio.sleep(worked * REST)


def require_keys(history: History) -> None:
    """Incomplete where this machine could not open what it seals."""
    if history.behind:
        raise Incomplete(
            "The account's keys were changed on another machine; run e2email account refresh first."
        )
