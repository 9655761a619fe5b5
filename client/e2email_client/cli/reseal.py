"""`e2email reseal`: old mail under the keys of today."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import Incomplete, Refused

if TYPE_CHECKING:
    from e2email_client.device_seal import DeviceSealer
    from e2email_client.history import History
    from e2email_client.resealing import Report, Tally, Wish
    from e2email_client.stores import Stores
    from e2email_client.unlock import Unlocked

NO_KEY = "This machine has no signing key that the account vouches for: run e2email setup."


@click.command("reseal", short_help="Seal old mail to the newest keys.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many mails.")
@click.option("--oldest-first", is_flag=True, help="Begin with the oldest.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@access_options
@json_option
def command(
    access: Access, limit: int | None, oldest_first: bool, dry_run: bool, as_json: bool
) -> None:
    """Seal the mail on the server that is still under earlier keys of yours to the newest ones.

    Each is fetched encrypted, opened and sealed anew here, checked, and exchanged in one step.
    Nothing else about it changes. Can be interrupted at any time; the next run goes on from there.
    """
    from e2email_client.resealing import Wish

    tally = _run(access, Wish(limit, oldest_first, dry_run))
    answer = asdict(tally) | {"dry_run": dry_run, "seconds": round(tally.seconds, 3)}
    show(answer, _text(tally, dry_run), as_json)
    if tally.unopened:
        raise Incomplete(f"{len(tally.unopened)} mails were left as they are.")


def _run(access: Access, wish: Wish) -> Tally:
    import asyncio

    from e2email_client.cli._store import opened_whole
    from e2email_client.device_seal import device_sealer
    from e2email_client.history import History
    from e2email_client.resealing import require_keys

    with opened_whole(access) as (unlocked, stores):
        history = History(unlocked)
        history.refresh()
        require_keys(history)
        sealer = device_sealer(unlocked, history)
        if sealer is None:
            raise Refused("CANNOT", NO_KEY)
        with _Bar() as bar:
            return asyncio.run(_reseal(unlocked, stores, history, sealer, wish, bar.report))


async def _reseal(
    unlocked: Unlocked,
    stores: Stores,
    history: History,
    sealer: DeviceSealer,
    wish: Wish,
    report: Report,
) -> Tally:
    from e2email_client.fetching import syncing
    from e2email_client.lock import SyncLock
    from e2email_client.resealing import Resealing
    from e2email_client.sync import Stale, silent

    # where each mail lies; another program that syncs sees to it itself
    with SyncLock(unlocked.paths) as lock:
        if lock.take():
            try:
                async with syncing(unlocked, stores, silent) as sync:
                    await sync.catch_up_all()
            except Stale:
                raise Incomplete("A mailbox was replaced meanwhile; try again.") from None
    return await Resealing(unlocked, stores.cache, history, sealer, report).run(wish)


class _Bar:
    """How far it is, on a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None  # click does not export the type

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def report(self, at: Tally) -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = click.progressbar(
                length=at.listed, label="sealed anew", show_pos=True, file=sys.stderr
            )
        self._bar.label = f"sealed anew, {at.done / max(at.seconds, 0.001):.0f} a second"
        self._bar.update(at.done - self._bar.pos)


def _text(tally: Tally, dry_run: bool) -> str:
    if not tally.pending:
        return "All mail is sealed to the newest keys."
    lines = [f"Mail under earlier keys: {tally.pending}."]
    if not dry_run:
        rate = tally.done / max(tally.seconds, 0.001)
        lines.append(
            f"Sealed anew: {tally.resealed} in {tally.seconds:.0f} s ({rate:.0f} a second)."
        )
        lines.append(f"Still to do: {tally.pending - tally.resealed}.")
    if tally.kept:
        lines.append(
            f"{tally.kept} of them were encrypted by their senders, to an earlier key of yours; "
            "that encryption stays inside, and it opens with that key, which you keep."
        )
    if tally.skipped:
        lines.append(f"Changed or deleted meanwhile: {tally.skipped}.")
    lines += [f"{clean.line(one.mailbox)} {one.uid}: {one.why}" for one in tally.unopened]
    return "\n".join(lines)
