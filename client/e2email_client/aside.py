"""Blocking work that a program does not wait for when it ends, unlike that of asyncio.to_thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def aside(work: Callable[[], None]) -> None:
    """Run it in a thread of its own. It must bear being cut off anywhere: nothing half-written."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def told(fault: Exception | None) -> None:
        if done.done():
            return  # cancelled
        if fault is None:
            done.set_result(None)
        else:
            done.set_exception(fault)

    def run() -> None:
        fault = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001  # raised again where it is awaited
            fault = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(told, fault)

    threading.Thread(target=run, name="aside", daemon=True).start()
    await done
