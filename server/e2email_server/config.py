"""server.toml as frozen dataclasses. Every fault is one sentence that names file and key.

The file is read once at start and again on SIGHUP; nothing else knows TOML.
"""

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from e2email_server.config_values import (
    ConfigError,
    Table,
    address,
    boolean,
    domain,
    integer,
    many,
    one_of,
    size,
    text,
)
from e2email_server.imap.capabilities import HIDEABLE

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on. Port 0 lets the system choose; the chosen one is announced."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Listen:
    """Listeners by protocol; an empty tuple means the protocol is not served.

    `hide`: capabilities that the listeners of imap or imaps do not have; `compress`: whether they
    offer DEFLATE.
    """

    smtp: tuple[Endpoint, ...] = ()
    imap: tuple[Endpoint, ...] = ()
    imaps: tuple[Endpoint, ...] = ()
    pop3: tuple[Endpoint, ...] = ()
    pop3s: tuple[Endpoint, ...] = ()
    https: tuple[Endpoint, ...] = ()
    hide: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    compress: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. By default those that `init` made under data/tls, of our own CA."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in octets, times in seconds. The reasons stand in docs/server.md, beside each key."""

    message_size: int = 50 * MIB
    recipients: int = 100
    transaction_size: int = GIB
    memory: int = 512 * MIB
    hops: int = 100
    connections: int = 1000
    connections_per_address: int = 50
    transaction_seconds: int = 600
    minimum_rate: int = 16 * 1024
    idle_seconds: int = 300
    free_percent: int = 5
    free_space: int = GIB
    drain_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. Addresses and domains are normalised lower-case.

    `aliases` maps an address of ours to addresses of ours; `postmaster` is who gets postmaster@
    and abuse@ of every domain, None for the oldest account.
    """

    path: Path
    hostname: str
    domains: frozenset[str]
    data: Path
    listen: Listen
    tls: TlsFiles
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    postmaster: str | None = None
    limits: Limits = field(default_factory=Limits)
    log_level: str = "info"


MAX_ALIAS_TARGETS = 100  # as many as a transaction may have recipients
MAX_FILE = MIB  # some 10,000 aliases
LOG_LEVELS = ("debug", "info", "warning", "error")
_DAY = 24 * 60 * 60
_MANY = 1_000_000  # an upper end for counts, against a slip of the keyboard


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError; paths in it are relative to its folder."""
    top = Table(path, "", _parse(path))
    domains = frozenset(top.require("domains", many(domain)))
    if not domains:
        top.fail("domains", "must name at least one domain")
    data = path.parent / top.take("data", text, "data")
    config = Config(
        path=path,
        hostname=top.require("hostname", domain),
        domains=domains,
        data=data,
        listen=_listen(top.table("listen")),
        tls=_tls(top.table("tls"), path.parent, data),
        aliases=_aliases(top.table("aliases"), domains),
        postmaster=top.take("postmaster", _ours(domains), None),
        limits=_limits(top.table("limits")),
        log_level=_log_level(top.table("log")),
    )
    top.end()
    return config


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE + 1)
        if len(octets) > MAX_FILE:
            raise ConfigError(f"{path}: larger than {MAX_FILE} octets")
        return tomllib.loads(octets.decode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at octet {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None


def _endpoint(value: Any) -> Endpoint:
    host, colon, port = text(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        colon = ""
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'{value!r} is not "address:port", such as "127.0.0.1:2525" or "[::]:25"')
    return Endpoint(host, int(port))


_PROTOCOLS = ("smtp", "imap", "imaps", "pop3", "pop3s", "https")


def _listen(table: Table) -> Listen:
    none: tuple[Endpoint, ...] = ()
    found = {key: table.take(key, many(_endpoint), none) for key in _PROTOCOLS}
    hide, compress = _hide(table.table("hide")), _compress(table.table("compress"))
    table.end()
    seen: set[Endpoint] = set()
    for key, endpoints in found.items():
        for endpoint in endpoints:
            if endpoint in seen and endpoint.port:
                table.fail(key, f"{endpoint.host}:{endpoint.port} is taken by another listener")
            seen.add(endpoint)
    if not seen:
        table.fail("smtp", "no listener at all; name at least one")
    return Listen(**found, hide=hide, compress=compress)


def _hide(table: Table) -> dict[str, tuple[str, ...]]:
    nothing: tuple[str, ...] = ()
    found = {k: table.take(k, many(_capability), nothing) for k in ("imap", "imaps")}
    table.end()
    return found


def _compress(table: Table) -> dict[str, bool]:
    found = {key: table.take(key, boolean, False) for key in ("imap", "imaps")}
    table.end()
    return found


def _capability(value: Any) -> str:
    name = {one.upper(): one for one in HIDEABLE}.get(text(value).upper())
    if name is None:
        near = get_close_matches(text(value).upper(), HIDEABLE, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{value!r} is no capability that can be hidden{hint}")
    return name


def _tls(table: Table, folder: Path, data: Path) -> TlsFiles:
    certificate = table.take("certificate", text, "")
    key = table.take("key", text, "")
    table.end()
    if bool(certificate) != bool(key):
        table.fail("key" if certificate else "certificate", "is missing beside the other")
    if not certificate:
        return TlsFiles(data / "tls" / "server.crt", data / "tls" / "server.key")
    return TlsFiles(folder / certificate, folder / key)


def _ours(domains: frozenset[str]) -> Any:
    """An address in one of our domains."""

    def read(value: Any) -> str:
        found = address(value)
        if found.rpartition("@")[2] not in domains:
            raise ValueError(f"{found} is in none of our domains")
        return found

    return read


def _aliases(table: Table, domains: frozenset[str]) -> dict[str, tuple[str, ...]]:
    aliases: dict[str, tuple[str, ...]] = {}
    ours = _ours(domains)
    for key, value in table.rest().items():
        try:
            name, targets = ours(key), many(ours)(value)
        except ValueError as error:
            table.fail(f'"{key}"', str(error))
        if not 0 < len(targets) <= MAX_ALIAS_TARGETS:
            table.fail(f'"{key}"', f"must have 1 to {MAX_ALIAS_TARGETS} addresses")
        if name in aliases:
            table.fail(f'"{key}"', "stands here twice")
        aliases[name] = targets
    for name in aliases:
        if _leads_back(aliases, name):
            table.fail(f'"{name}"', "leads back to itself")
    return aliases


def _leads_back(aliases: Mapping[str, tuple[str, ...]], name: str) -> bool:
    seen: set[str] = set()
    waiting = list(aliases[name])
    while waiting:
        target = waiting.pop()
        if target == name:
            return True
        if target not in seen:
            seen.add(target)
            waiting.extend(aliases.get(target, ()))
    return False


def _limits(table: Table) -> Limits:
    default = Limits()
    octets = {"message_size": 64 * 1024, "transaction_size": MIB, "memory": 16 * MIB}
    octets |= {"free_space": 0}
    counts = {
        "recipients": (1, 10_000),
        "hops": (1, 1000),
        "connections": (1, _MANY),
        "connections_per_address": (1, _MANY),
        "transaction_seconds": (1, _DAY),
        "minimum_rate": (0, GIB),
        "idle_seconds": (1, _DAY),
        "free_percent": (0, 90),
        "drain_seconds": (0, 3600),
    }
    values = {k: table.take(k, size(least), getattr(default, k)) for k, least in octets.items()}
    values |= {k: table.take(k, integer(*ends), getattr(default, k)) for k, ends in counts.items()}
    table.end()
    if values["memory"] < 3 * values["message_size"]:
        table.fail("memory", "must be at least three times message_size")
    return Limits(**values)


def _log_level(table: Table) -> str:
    level = table.take("level", one_of(*LOG_LEVELS), "info")
    table.end()
    return level
