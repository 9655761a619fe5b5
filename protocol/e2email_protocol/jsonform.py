"""Frozen dataclasses to JSON objects and back, strictly: every member has a kind with a cap.

Knows nothing of accounts or HTTP. What does not fit its kind is refused, never repaired: duplicate
and missing members, wrong types, numbers out of range, base64 that is not canonical.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self, TypeAlias

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

# JSON numbers above this are not whole in every reader (RFC 8259, section 6)
MAX_INTEGER = 2**53 - 1


class FormInvalid(ValueError):
    """Octets that are not the expected message. The text names the member, never its value."""


class Kind(Protocol):
    """How one member is written and what it accepts."""

    def load(self, value: Json, where: str) -> object: ...

    def dump(self, value: Any) -> Json: ...


@dataclass(frozen=True, slots=True)
class Octets:
    """bytes as canonical base64 with padding (RFC 4648, section 4)."""

    cap: int
    least: int = 0

    def load(self, value: Json, where: str) -> bytes:
        if not isinstance(value, str) or len(value) > (self.cap + 2) // 3 * 4:
            raise FormInvalid(f"{where} is not base64, or too long")
        try:
            octets = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise FormInvalid(f"{where} is not base64, or too long") from None
        # two texts for one value would let a relay vary what is compared or logged
        if base64.b64encode(octets).decode("ascii") != value:
            raise FormInvalid(f"{where} is not canonical base64")
        if not self.least <= len(octets) <= self.cap:
            raise FormInvalid(f"{where} has a wrong length")
        return octets

    def dump(self, value: bytes) -> Json:
        return base64.b64encode(value).decode("ascii")


@dataclass(frozen=True, slots=True)
class Text:
    """str without control characters; `accept` looks at what is left."""

    cap: int
    least: int = 1
    accept: Callable[[str], bool] | None = None

    def load(self, value: Json, where: str) -> str:
        if not isinstance(value, str) or not self.least <= len(value) <= self.cap:
            raise FormInvalid(f"{where} is not text, or of a wrong length")
        # isprintable() also refuses lone surrogates, line separators and bidirectional overrides
        if not value.isprintable() or (self.accept is not None and not self.accept(value)):
            raise FormInvalid(f"{where} is not acceptable text")
        return value

    def dump(self, value: str) -> Json:
        return value


@dataclass(frozen=True, slots=True)
class Integer:
    """int from `least` to `most`, both included."""

    most: int = MAX_INTEGER
    least: int = 0

    def load(self, value: Json, where: str) -> int:
        # bool is an int in Python, and not one here
        if type(value) is not int or not self.least <= value <= self.most:
            raise FormInvalid(f"{where} is not a number from {self.least} to {self.most}")
        return value

    def dump(self, value: int) -> Json:
        return value


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false, and nothing that only looks like it."""

    def load(self, value: Json, where: str) -> bool:
        if not isinstance(value, bool):
            raise FormInvalid(f"{where} is not true or false")
        return value

    def dump(self, value: bool) -> Json:
        return value


@dataclass(frozen=True, slots=True)
class Many:
    """A tuple of another kind, `least` to `cap` of them."""

    of: Kind
    cap: int
    least: int = 0

    def load(self, value: Json, where: str) -> tuple[object, ...]:
        if not isinstance(value, list) or not self.least <= len(value) <= self.cap:
            raise FormInvalid(f"{where} is not a list of {self.least} to {self.cap}")
        return tuple(self.of.load(item, f"{where}[{n}]") for n, item in enumerate(value))

    def dump(self, value: tuple[Any, ...]) -> Json:
        return [self.of.dump(item) for item in value]


@dataclass(frozen=True, slots=True)
class Nested:
    """Another message inside this one."""

    form: "type[Form]"
    strict: bool = True

    def load(self, value: Json, where: str) -> object:
        return self.form.load(value, where, strict=self.strict)

    def dump(self, value: "Form") -> Json:
        return value.dump()


@dataclass(frozen=True, slots=True)
class Perhaps:
    """Another kind, or null."""

    of: Kind

    def load(self, value: Json, where: str) -> object:
        return None if value is None else self.of.load(value, where)

    def dump(self, value: Any) -> Json:
        return None if value is None else self.of.dump(value)


def member(kind: Kind, *, show: bool = True) -> Any:
    """A dataclass field of this kind; `show=False` keeps it out of `repr`."""
    return field(repr=show, metadata={"kind": kind})


class Form:
    """Base of all messages: a frozen dataclass whose fields were made by `member`."""

    __slots__ = ()

    def dump(self) -> dict[str, Json]:
        return {
            spec.name: spec.metadata["kind"].dump(getattr(self, spec.name))
            for spec in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
        }

    def encode(self) -> bytes:
        """Compact JSON, ASCII only."""
        return json.dumps(self.dump(), separators=(",", ":")).encode("ascii")

    @classmethod
    def load(cls, value: Json, where: str, *, strict: bool) -> Self:
        if not isinstance(value, dict):
            raise FormInvalid(f"{where} is not an object")
        specs = fields(cls)  # type: ignore[arg-type]  # as above
        known = {spec.name for spec in specs}
        if missing := sorted(known - value.keys()):
            raise FormInvalid(f"{where} lacks {missing[0]}")
        if strict and not known >= value.keys():
            raise FormInvalid(f"{where} has a member that is not known")
        return cls(
            **{
                spec.name: spec.metadata["kind"].load(value[spec.name], f"{where}.{spec.name}")
                for spec in specs
            }
        )

    @classmethod
    def decode(cls, octets: bytes, *, strict: bool = True) -> Self:
        """Read one message; FormInvalid otherwise. `strict=False` ignores members not known.

        Requests are read strictly, so a misspelt member is an error and not a silent default;
        replies are not, so a newer server may say more.
        """
        return cls.load(parse(octets), "message", strict=strict)


def parse(octets: bytes) -> Json:
    """JSON text in UTF-8 without duplicate members, fractions or NaN; FormInvalid otherwise."""
    try:
        value: Json = json.loads(
            octets.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
    except FormInvalid:
        raise
    except (ValueError, RecursionError):
        # ValueError covers bad UTF-8, bad JSON and integers beyond Python's digit limit
        raise FormInvalid("not a JSON message") from None
    return value


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FormInvalid("a member occurs twice")
    return found


def _refuse(_text: str) -> Json:
    raise FormInvalid("a number is not whole")
