"""account.toml: what this machine knows of an account that is no secret."""

import json
import tomllib
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from e2email_client.failure import Alarm, LocalFault, NotSetUp
from e2email_client.files import read_private, write_private
from e2email_client.paths import AccountPaths, Home

FORMAT = 2
# Bodies of some 100,000 mails. Envelopes are kept whatever this says.
CACHE_MIB = 4096
CACHE_MIB_LEAST = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """One account on this machine. Counters only ever rise: an older answer is an alarm.

    `server_name` is bound into every key of the account and must stand in the server's TLS
    certificate; `server_url` only says where to dial.
    """

    address: str
    server_url: str
    server_name: str
    imaps_port: int  # 0: not offered
    imap_port: int
    smtps_port: int
    smtp_port: int
    arrival_key: str  # pinned public key, hex
    vault_version: int
    statement_sequence: int
    statement_digest: str  # hex
    own_ca: bool = False
    cache_mib: int = CACHE_MIB  # how much mail is kept on this machine
    passphrase_generation: int = 1  # of the newest passphrase slot that was seen here

    @property
    def options(self) -> tuple[str, ...]:
        """What to type so that another machine finds this server; FILE stands for its ca.crt."""
        found = ["--server", self.server_url]
        if (urlsplit(self.server_url).hostname or "") != self.server_name:
            found += ["--server-name", self.server_name]
        return (*found, "--ca", "FILE") if self.own_ca else tuple(found)

    def encode(self) -> bytes:
        lines = [f"format = {FORMAT}"]
        for spec in fields(self):
            # a JSON string, number or boolean without escapes beyond \uXXXX is the same in TOML
            lines.append(f"{spec.name} = {json.dumps(getattr(self, spec.name))}")
        return ("\n".join(lines) + "\n").encode("ascii")

    @classmethod
    def decode(cls, octets: bytes, path: str) -> "Settings":
        """LocalFault names the file and the key at fault."""
        try:
            found = tomllib.loads(octets.decode("utf-8"))
        except ValueError as fault:
            raise LocalFault(f"{path}: not a TOML file ({fault}).") from None
        if found.pop("format", None) != FORMAT:
            raise LocalFault(f"{path}: format is not {FORMAT}; this program is too old or new.")
        for spec in fields(cls):
            if type(found.get(spec.name)) is not spec.type:
                raise LocalFault(f"{path}: {spec.name} is missing or of a wrong type.")
        if unknown := sorted(found.keys() - {spec.name for spec in fields(cls)}):
            raise LocalFault(f"{path}: {unknown[0]} is not a known setting.")
        if found["cache_mib"] < CACHE_MIB_LEAST:
            raise LocalFault(f"{path}: cache_mib is below {CACHE_MIB_LEAST}.")
        return cls(**found)


def load(paths: AccountPaths) -> Settings:
    return Settings.decode(read_private(paths.settings), str(paths.settings))


def save(paths: AccountPaths, settings: Settings) -> None:
    """Replace the file; refuses to turn a counter back, whoever asks."""
    if paths.settings.exists():
        known = load(paths)
        if (
            settings.vault_version < known.vault_version
            or settings.statement_sequence < known.statement_sequence
            or settings.passphrase_generation < known.passphrase_generation
        ):
            raise Alarm("Something older than what this device has seen was about to be kept.")
    write_private(paths.settings, settings.encode())


def addresses(home: Home) -> list[str]:
    """Addresses of the accounts on this machine, in order."""
    found = []
    for path in sorted(home.accounts.glob("*/account.toml")):
        if not path.parent.name.startswith("."):
            found.append(Settings.decode(read_private(path), str(path)).address)
    return found


def choose(home: Home, address: str | None) -> AccountPaths:
    """The account that is meant: the named one, or the only one. NotSetUp otherwise."""
    if address is not None:
        paths = home.account(address.lower())
        if not paths.settings.exists():
            raise NotSetUp(f"{address} is not set up on this machine; run e2email setup.")
        return paths
    known = addresses(home)
    if not known:
        raise NotSetUp("No account is set up on this machine; run e2email setup.")
    if len(known) > 1:
        raise NotSetUp(f"Say which account with --account: {', '.join(known)}.")
    return home.account(known[0])
