"""Typed reading of decoded JSON. Every misfit is a ValueError that names the field's kind only."""

import base64
import re
from collections.abc import Callable
from typing import Any, TypeVar

from . import _wire

T = TypeVar("T")

_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")  # v4 and v6
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def record(value: Any, names: str) -> list[Any]:
    """The values of exactly these names (white space between them), in the order asked for."""
    wanted = names.split()
    if not isinstance(value, dict) or value.keys() != set(wanted):
        raise ValueError("fields are missing or unknown")
    return [value[name] for name in wanted]


def versioned(value: Any, version: int, names: str) -> list[Any]:
    """As `record`, of an object that also has this `version`: told apart from other misfits."""
    if not isinstance(value, dict) or type(value.get("version")) is not int:  # True equals 1
        raise ValueError("not an object with a version")
    if value["version"] != version:
        raise ValueError(f"version {value['version']} is unknown")
    return record({name: item for name, item in value.items() if name != "version"}, names)


def integer(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:  # True is an int too
        raise ValueError("a number is missing or outside its limits")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is missing")
    return value


def items(value: Any, read: Callable[[Any], T], least: int, most: int) -> tuple[T, ...]:
    """A list without doubles, each item through `read`."""
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ValueError("a list is missing or has too few or too many items")
    result = tuple(map(read, value))
    if len(set(result)) != len(result):
        raise ValueError("a list names something twice")
    return result


def optional(value: Any, read: Callable[[Any], T]) -> T | None:
    return None if value is None else read(value)


def hex32(value: Any) -> bytes:
    """32 bytes from 64 lower-case hex digits."""
    octets = bytes.fromhex(text(value))
    if len(octets) != 32 or octets.hex() != value:
        raise ValueError("a value is not 64 lower-case hex digits")
    return octets


def base64_text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def base64_octets(value: Any, most: int) -> bytes:
    octets = base64.b64decode(text(value), validate=True)
    if base64_text(octets) != value:
        raise ValueError("a value is not base64 in its one spelling")
    if len(octets) > most:
        raise ValueError("a value is too long")
    return octets


def fingerprint(value: Any) -> str:
    if not _FINGERPRINT.fullmatch(text(value)):
        raise ValueError("a value is no fingerprint in upper-case hex")
    return text(value)


def address(value: Any) -> str:
    """A mail address as accounts are named: lower case, NFC, no white space or controls."""
    if not _ADDRESS.fullmatch(text(value)) or not text(value).isprintable():
        raise ValueError("a value is no mail address")
    if _wire.name(value).decode() != value:
        raise ValueError("an address is not in normal form")
    return text(value)
