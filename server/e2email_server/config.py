"""server.toml as frozen dataclasses. Every fault is one sentence that names file and key.

The file is read once at start and again on SIGHUP; nothing else knows TOML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024
GIB = 1024 * MIB


class ConfigError(Exception):
    """One line for the operator: file, key, what is wrong."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on. Port 0 lets the system choose; the chosen one is announced."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Listen:
    """Listeners by protocol; an empty tuple means the protocol is not served."""

    smtp: tuple[Endpoint, ...] = ()
    imap: tuple[Endpoint, ...] = ()
    imaps: tuple[Endpoint, ...] = ()
    https: tuple[Endpoint, ...] = ()


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
    hops: int = 50
    connections: int = 1000
    connections_per_address: int = 50
    transaction_seconds: int = 600
    minimum_rate: int = 1024
    idle_seconds: int = 300
    bad_logins: int = 3
    bad_commands: int = 20
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
