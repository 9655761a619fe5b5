"""Log lines for the operator, on stderr. Never mail.

Text that did not come from us is not printed: of a library's record only the template, of a
library's exception only type and place, because either may quote what a peer sent.
"""

import logging
import sys
import time
import traceback
from functools import lru_cache

OURS = "e2email"
# These write peers, addresses or mail at INFO and DEBUG.
LIBRARIES = ("mail.log", "sqlalchemy", "alembic", "asyncio", "uvicorn", "starlette")


def set_up(level: str) -> None:
    """Our loggers at `level`, everyone else's at WARNING whatever the level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # not printed; asking for them takes half of what a line costs
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # documented in the HOWTO, "Optimization"
    for name in ("e2email", "e2email_server", "e2email_crypto", "e2email_protocol"):
        logging.getLogger(name).setLevel(level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """`time=… level=… logger=… msg="…"` and, with an exception, `error=… cause="…"`."""

    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.startswith(OURS)
        fields = {
            "time": _second(int(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage() if ours else str(record.msg).split("\n", 1)[0],
        }
        if not ours and not record.args:
            fields["msg"] = "(text of a library)"  # may have been put together with a peer's
        if record.exc_info and record.exc_info[1]:
            fields["error"] = describe(record.exc_info[1])
        return " ".join(f"{key}={quote(value)}" for key, value in fields.items())


@lru_cache(maxsize=1)
def _second(unix: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix))


def describe(error: BaseException) -> str:
    """Type, place, and text where it is ours; the causes behind it."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 5:  # a longer chain tells nothing more
        parts.append(_one(seen))
        seen = seen.__cause__
    return " < ".join(parts)


def _one(error: BaseException) -> str:
    kind = type(error)
    text = f": {error}" if kind.__module__.startswith(OURS) else ""
    if isinstance(error, OSError) and error.strerror:
        text = f": {error.strerror}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{kind.__name__}{place}{text}"


def quote(value: str) -> str:
    """One token of a line: quoted where needed, control characters as escapes."""
    if value.isascii() and value.isprintable() and not set(value) & set(' "=\\'):
        return value or '""'
    inner = value.replace("\\", "\\\\").replace('"', '\\"')
    if not inner.isprintable():
        inner = "".join(map(_escaped, inner))
    return f'"{inner}"'


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
