"""The proxy as a program: open accounts, listen, follow their servers, stop cleanly."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from e2email_client import contact_refresh
from e2email_client.api import AccountApi
from e2email_client.device_seal import sealing
from e2email_client.failure import ClientError
from e2email_client.history import History
from e2email_client.learning import open_learning
from e2email_client.live import Live
from e2email_client.local import mails, notices
from e2email_client.local.seen import Seen
from e2email_client.log import report
from e2email_client.opening import Opening
from e2email_client.proxy import secrets
from e2email_client.proxy.account import ProxyAccount
from e2email_client.proxy.config import Config
from e2email_client.proxy.doors import Doors
from e2email_client.proxy.listening import Listeners
from e2email_client.proxy.passwords import Passwords, passwords
from e2email_client.proxy.ports import Ports
from e2email_client.proxy.shown import Shown, keep
from e2email_client.shared_state import SharedState
from e2email_client.stores import Stores, open_journal, open_opening, open_room, open_stores
from e2email_client.unlock import Unlocked

GRACE = 3.0  # seconds for commands that run when the program is stopped

# What an account failed with while the others go on: its address, and why.
Failed = Callable[[str, ClientError], None]


@dataclass(frozen=True, slots=True)
class _Opened:
    """An account with its local files, before anything runs."""

    unlocked: Unlocked
    stores: Stores
    passwords: Passwords


@asynccontextmanager
async def running(
    accounts: Sequence[Unlocked], config: Config, failed: Failed
) -> AsyncIterator[list[Shown]]:
    """One proxy for these accounts, listening.

    One whose files cannot be used is named to `failed`, and the others run; where it is the last
    one, its error is raised. LocalFault where a port is taken, secrets.Uncovered.
    """
    async with AsyncExitStack() as stack:
        opened = _open_all(stack, accounts, failed)
        found = secrets.obtain(
            [one.passwords for one in opened], dt.datetime.now(dt.UTC), config.certified
        )
        # threads that still read or write would do so on closed databases
        stack.push_async_callback(asyncio.get_running_loop().shutdown_default_executor)
        ends: list[asyncio.Task[None]] = []
        served = [_serve(stack, one) for one in opened]
        doors = Doors([account for account, _ in served])
        listeners = Listeners(config)
        stack.push_async_callback(_end, listeners, ends)
        await listeners.start(doors.faces(config, found.certificate))
        # only now: who finds its ports taken has not begun anything
        for account, history in served:
            ends += [_followed(account.live.run()), _followed(history.follow())]
        for one in opened:
            shared = SharedState(one.unlocked, one.stores.state)
            api = AccountApi(one.unlocked.server)
            ends.append(_followed(shared.follow(api, one.unlocked.login)))
            ends.append(_followed(contact_refresh.follow(one.unlocked, one.stores)))
        ends.append(_followed(doors.watch(listeners)))
        yield _told(opened, found, listeners.ports, config)


def _open_all(stack: AsyncExitStack, accounts: Sequence[Unlocked], failed: Failed) -> list[_Opened]:
    opened: list[_Opened] = []
    for left, one in zip(reversed(range(len(accounts))), accounts, strict=True):
        try:
            stores = stack.enter_context(open_stores(one))
        except ClientError as fault:
            if not left and not opened:
                raise
            failed(one.settings.address, fault)
        else:
            opened.append(_Opened(one, stores, passwords(one, stores.state)))
    return opened


def _serve(stack: AsyncExitStack, one: _Opened) -> tuple[ProxyAccount, History]:
    history = History(one.unlocked, partial(notices.history, one.stores.state))
    opening: Opening = open_opening(one.unlocked, history=history)
    stack.callback(opening.close)
    seal = sealing(one.unlocked, history)
    journal = open_journal(one.unlocked, one.stores)
    live = Live(
        one.unlocked,
        one.stores.cache,
        opening,
        seal=seal,
        journal=journal,
        seen=Seen(one.stores.state),
        room=open_room(one.unlocked, one.stores),
        learn=open_learning(one.unlocked, one.stores, opening),
    )
    cache, loop = one.stores.cache, asyncio.get_running_loop()

    def renewed() -> None:  # in a thread of the history
        mails.try_again(cache, history.vault().counter)
        loop.call_soon_threadsafe(live.changed)

    mails.try_again(cache, history.vault().counter)
    history.on_change(renewed)
    return ProxyAccount(one.unlocked.settings.address, one.passwords, cache, live), history


def _followed(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that ends by itself only by a fault of ours, which is told; the others go on."""

    def ended(task: asyncio.Task[None]) -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            report(fault)

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    return task


async def _end(listeners: Listeners, tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await listeners.close(GRACE)


def _told(
    opened: Sequence[_Opened], found: secrets.ProxySecrets, ports: Ports, config: Config
) -> list[Shown]:
    return [
        keep(one.unlocked, password, found.certificate, ports, config)
        for one, password in zip(opened, found.passwords, strict=True)
    ]


def stop_at_signals() -> asyncio.Event:
    """Set at SIGINT or SIGTERM from now on, which then end nothing by themselves."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
