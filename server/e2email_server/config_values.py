"""Reading one table of a TOML file, value by value; whatever is not asked for is a fault."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

MAX_LOCAL_PART = 64  # RFC 5321 §4.5.3.1.1
MAX_DOMAIN = 253  # RFC 1035 §2.3.4, without the root
_LABEL = r"[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = re.compile(r"[0-9a-z!#$%&'*+/=?^_`{|}~-]+(?:\.[0-9a-z!#$%&'*+/=?^_`{|}~-]+)*")
_SIZE = re.compile(r"(\d{1,9}) ?(B|KiB|MiB|GiB)")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class ConfigError(Exception):
    """One line for the operator: file, key, what is wrong."""


class Table:
    """A table being taken apart: each `take` removes a key, `end` refuses what is left."""

    def __init__(self, path: Path, name: str, values: dict[str, Any]) -> None:
        self._path, self._name, self._values = path, name, dict(values)
        self._known: list[str] = []

    def fail(self, key: str, reason: str) -> NoReturn:
        where = f"{self._name}.{key}" if self._name else key
        raise ConfigError(f"{self._path}: {where}: {reason}")

    def take(self, key: str, read: Callable[[Any], T], default: T) -> T:
        """The value as `read` makes it; `read` raises ValueError with the reason it refuses."""
        self._known.append(key)
        return self._read(key, read) if key in self._values else default

    def require(self, key: str, read: Callable[[Any], T]) -> T:
        self._known.append(key)
        if key not in self._values:
            self.fail(key, "is missing")
        return self._read(key, read)

    def _read(self, key: str, read: Callable[[Any], T]) -> T:
        try:
            return read(self._values.pop(key))
        except ValueError as error:
            self.fail(key, str(error))

    def table(self, key: str) -> "Table":
        """A table below this one; an absent one is empty."""
        name = f"{self._name}.{key}" if self._name else key
        return Table(self._path, name, self.take(key, _table, {}))

    def rest(self) -> dict[str, Any]:
        """What is left, for a table whose keys are free."""
        left, self._values = self._values, {}
        return left

    def end(self) -> None:
        for key in self._values:
            near = get_close_matches(key, self._known, 1)
            self.fail(key, "unknown key" + (f"; did you mean {near[0]}?" if near else ""))


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be a table")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text in quotes")
    return value


def integer(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return read


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def size(least: int) -> Callable[[Any], int]:
    """Octets: a whole number, or a text such as "50 MiB"."""

    def read(value: Any) -> int:
        if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            value = int(match[1]) * _UNITS[match[2]]
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError('must be a size such as "50 MiB"')
        if value < least:
            raise ValueError(f"must be at least {least} octets")
        return value

    return read


def one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return read


def domain(value: Any) -> str:
    lower = text(value).lower().rstrip(".")
    if _DOMAIN.fullmatch(lower) is None or len(lower) > MAX_DOMAIN:
        raise ValueError(f"{value!r} is not a domain name")
    return lower


def address(value: Any) -> str:
    """A mail address as accounts have it: ASCII, lower-case, no quoting."""
    local, at, host = text(value).lower().rpartition("@")
    if not at or _LOCAL_PART.fullmatch(local) is None or len(local) > MAX_LOCAL_PART:
        raise ValueError(f"{value!r} is not a mail address")
    return f"{local}@{domain(host)}"


def many(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A list, or a single value for a list of one."""

    def read_all(value: Any) -> tuple[T, ...]:
        values: Iterable[Any] = value if isinstance(value, list) else [value]
        return tuple(read(item) for item in values)

    return read_all
