"""proxy.toml: where the proxy of this machine listens. What the command line names goes before.

bind = ["127.0.0.1", "::1"]
allow_remote = false
names = ["mail.home.arpa"]      # of this machine, for the certificate
connections = 500               # of each listener
[ports]
imap = 1143                     # or "auto", or "off"
[hidden]                        # capabilities not to show
imaps = ["COMPRESS=DEFLATE"]
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from e2email_client.failure import LocalFault
from e2email_client.files import read_private
from e2email_client.paths import Home
from e2email_client.proxy.ports import Ports

NAME = "proxy.toml"
LOOPBACK = ("127.0.0.1", "::1")
LISTENERS = tuple(spec.name for spec in fields(Ports))
IMAP = ("imap", "imaps")
CONNECTIONS = 500
# Each costs some 100 KiB; more files than that a process may not have open.
MOST_CONNECTIONS = 4000
_CAPABILITY = re.compile(r"[!-~]{1,64}")
_HOST = re.compile(
    r"(?=.{1,253}$)[0-9a-z](?:[0-9a-z-]*[0-9a-z])?(?:\.[0-9a-z](?:[0-9a-z-]*[0-9a-z])?)*"
)


@dataclass(frozen=True, slots=True)
class Config:
    """`bind` None: loopback, of both kinds of address where the machine has both."""

    bind: tuple[str, ...] | None = None
    allow_remote: bool = False
    names: tuple[str, ...] = ()
    ports: Ports = field(default_factory=Ports)
    hidden: Mapping[str, frozenset[bytes]] = field(default_factory=dict)
    connections: int = CONNECTIONS

    @property
    def addresses(self) -> tuple[str, ...]:
        return LOOPBACK if self.bind is None else self.bind

    @property
    def remote(self) -> tuple[str, ...]:
        """Those that other machines can reach."""
        return tuple(one for one in self.addresses if not ipaddress.ip_address(one).is_loopback)

    @property
    def certified(self) -> tuple[str, ...]:
        """Names and addresses beside those of loopback that the certificate has to have."""
        told = [one for one in self.remote if not ipaddress.ip_address(one).is_unspecified]
        return tuple(dict.fromkeys([*self.names, *told]))

    def checked(self) -> Config:
        """LocalFault where other machines would be let in without somebody having said so."""
        if self.remote and not self.allow_remote:
            raise LocalFault(
                f"{self.remote[0]} is not loopback: other machines could reach your opened mail. "
                "If that is what you want, say --allow-remote."
            )
        if self.remote and not self.certified:
            raise LocalFault(
                f"{self.remote[0]} stands for every address of this machine; "
                "say with --name under which name or address programs reach it."
            )
        return self


def load(home: Home) -> Config:
    """What the file says; without a file everything as usual. LocalFault names the key at fault."""
    path = home.root / NAME
    if not path.exists():
        return Config()
    try:
        found = tomllib.loads(read_private(path).decode("utf-8"))
    except ValueError as fault:
        raise LocalFault(f"{path}: not a TOML file ({fault}).") from None
    try:
        return _config(found)
    except ValueError as fault:
        raise LocalFault(f"{path}: {fault}.") from None


def _config(found: dict[str, Any]) -> Config:
    values: dict[str, Any] = {}
    for key, value in found.items():
        if key not in _READ:
            raise ValueError(f"{key} is not a known setting")
        values[key] = _READ[key](key, value)
    return Config(**values)


def host(text: str) -> str:
    """A host name in small letters, or an address. ValueError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if not _HOST.fullmatch(text.lower()):
            raise ValueError(f"{text} is neither a host name nor an address") from None
        return text.lower()


def ports(text: str, base: Ports) -> Ports:
    """`auto`, `usual`, or changes to `base`: `imap=2143,pop3=off`. ValueError."""
    if text == "usual":
        return Ports()
    if text == "auto":
        return Ports(0, 0, 0, 0)
    changes: dict[str, int | None] = {}
    for piece in text.split(","):
        name, _, value = piece.strip().partition("=")
        if name not in LISTENERS:
            raise ValueError(f"{name or text} is none of auto, usual, {', '.join(LISTENERS)}")
        changes[name] = _port(name, int(value) if value.isascii() and value.isdigit() else value)
    return replace(base, **changes)


def _port(key: str, value: Any) -> int | None:
    if value == "auto":
        return 0
    if value == "off":
        return None
    if type(value) is not int or not 0 < value < 65536:
        raise ValueError(f"{key} is none of a port (1 to 65535), auto and off")
    return value


def _strings(key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{key} is not a list of strings")
    return value


def _bind(key: str, value: Any) -> tuple[str, ...]:
    return bind(_strings(key, value))


def bind(addresses: Sequence[str]) -> tuple[str, ...]:
    """Addresses to listen on. ValueError for a name: which address it has may change."""
    if not addresses:
        raise ValueError("bind names no address")
    found = []
    for one in addresses:
        try:
            found.append(str(ipaddress.ip_address(one)))
        except ValueError:
            raise ValueError(f"{one} is not an IP address to listen on") from None
    return tuple(dict.fromkeys(found))


def _names(key: str, value: Any) -> tuple[str, ...]:
    return tuple(host(one) for one in _strings(key, value))


def _flag(key: str, value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{key} is neither true nor false")
    return value


def _ports(key: str, value: Any) -> Ports:
    table = _table(key, value, LISTENERS)
    return Ports(**{name: _port(name, one) for name, one in table.items()})


def _hidden(key: str, value: Any) -> dict[str, frozenset[bytes]]:
    found = {}
    for name, listed in _table(key, value, IMAP).items():
        for one in _strings(name, listed):
            if not _CAPABILITY.fullmatch(one):
                raise ValueError(f"{name} hides something that is no capability")
        found[name] = frozenset(one.upper().encode("ascii") for one in listed)
    return found


def _table(key: str, value: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not a table")
    if unknown := sorted(value.keys() - set(names)):
        raise ValueError(f"{key}.{unknown[0]} is none of {', '.join(names)}")
    return value


def _count(key: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST_CONNECTIONS:
        raise ValueError(f"{key} is not a number between 1 and {MOST_CONNECTIONS}")
    return value


_READ: dict[str, Callable[[str, Any], Any]] = {
    "bind": _bind,
    "allow_remote": _flag,
    "names": _names,
    "ports": _ports,
    "hidden": _hidden,
    "connections": _count,
}
