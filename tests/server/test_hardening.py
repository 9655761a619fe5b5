"""What the process forbids itself, and what its log does not say."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from e2email_server import log
from e2email_server.store.errors import RowTampered, StoreFailed

CANARY = "canary-subject"

PROBE = """
import ctypes, os, resource
from e2email_server.hardening import harden
harden()
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if os.uname().sysname == "Linux" else 0
print(dumpable, resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)),
      sorted(name for name in os.environ if name.startswith("RUST_")))
"""


def test_the_process_forbids_itself_to_be_read() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        check=True,
        env={"RUST_BACKTRACE": "1", "RUST_LIB_BACKTRACE": "full", "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == "0 (0, 0) 0o77 []"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """stderr of a logging set up at DEBUG; pytest's own handlers are put back."""
    root = logging.getLogger()
    names = ("e2email", "e2email_server", "e2email_crypto", "e2email_protocol", *log.LIBRARIES)
    levels = {name: logging.getLogger(name).level for name in ("", *names)}
    handlers = root.handlers[:]
    root.handlers[:] = []  # set_up closes those it finds
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.set_up("debug")
    yield stream
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_line_is_keys_and_values(lines: io.StringIO) -> None:
    logging.getLogger("e2email_server.x").info("taken %d octets", 5)
    logging.getLogger("e2email.smtp").debug("short")
    first, second = lines.getvalue().splitlines()
    assert first.split(" ", 1)[1] == 'level=info logger=e2email_server.x msg="taken 5 octets"'
    assert second.endswith("level=debug logger=e2email.smtp msg=short")


def test_a_line_stays_one_line(lines: io.StringIO) -> None:
    text = 'a\r\nlevel=error msg="forged" \x1b[31m \u202e\u2028 \\'
    logging.getLogger("e2email.smtp").info("%s", text)
    printed = lines.getvalue()
    assert printed.count("\n") == 1
    assert printed.isascii()
    assert 'msg="a\\r\\nlevel=error msg=\\"forged\\" \\x1b[31m \\u202e\\u2028 \\\\"' in printed


@pytest.mark.parametrize("name", log.LIBRARIES)
def test_libraries_are_quiet_below_warning(lines: io.StringIO, name: str) -> None:
    logging.getLogger(name).info("peer said %s", CANARY)
    logging.getLogger(name + ".below").debug("peer said %s", CANARY)
    assert lines.getvalue() == ""


def test_a_librarys_text_is_not_printed(lines: io.StringIO) -> None:
    logger = logging.getLogger("asyncio")
    logger.warning("peer said %s", CANARY)
    logger.error(f"Task {CANARY} was destroyed")  # noqa: G004  # as asyncio does it
    try:
        raise ValueError(CANARY)
    except ValueError:
        logger.exception("Exception in callback\n" + CANARY)  # noqa: G003
    printed = lines.getvalue()
    assert CANARY not in printed
    assert "peer said %s" in printed
    assert "ValueError at test_hardening.py:" in printed


def test_our_errors_say_why_and_others_only_what(lines: io.StringIO) -> None:
    logger = logging.getLogger("e2email_server.x")
    try:
        try:
            raise UnicodeDecodeError("utf-8", CANARY.encode(), 6, 7, CANARY)
        except UnicodeDecodeError as error:
            raise StoreFailed("could not be read") from error
    except StoreFailed:
        logger.exception("failed")
    printed = lines.getvalue()
    assert "could not be read < UnicodeDecodeError at " in printed
    assert CANARY.encode() not in printed.encode()
    assert "canary" not in printed


def test_an_os_error_names_no_file_of_the_peer() -> None:
    text = log.describe(FileNotFoundError(2, "No such file or directory", CANARY))
    assert text == "FileNotFoundError: No such file or directory"
    assert log.describe(RowTampered("a row of x")) == "RowTampered: a row of x"
