"""What the log of a program that runs on says of faults: type and place, never the text."""

import asyncio
import gc

import pytest

from e2email_client.log import report_unhandled

SECRET = "CANARY"  # apart from the line that raises, which a traceback quotes


async def test_a_task_that_nobody_asks_tells_no_text(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ZeroDivisionError(SECRET)

    asyncio.get_running_loop().set_exception_handler(report_unhandled)
    task = asyncio.create_task(fails(), name=SECRET)
    await asyncio.wait({task})
    del task
    gc.collect()
    assert "ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text


def test_what_is_no_exception_tells_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    report_unhandled(loop, {"message": SECRET, "transport": SECRET})
    loop.close()
    assert "internal error" in caplog.text
    assert SECRET not in caplog.text
