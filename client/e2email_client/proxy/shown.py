"""What a mail program has to be told, as it is shown and kept for `e2email-proxy settings`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from e2email_client.files import write_private
from e2email_client.paths import AccountPaths
from e2email_client.proxy import tls
from e2email_client.proxy.config import Config
from e2email_client.proxy.ports import Ports
from e2email_client.proxy.tls import Certificate
from e2email_client.unlock import Unlocked

CA_NAME = "proxy-ca.pem"
PORTS_NAME = "proxy.json"


@dataclass(frozen=True, slots=True)
class Shown:
    """`password`: the general one; "" where it was revoked. `fingerprint`: of `certificate`."""

    address: str
    password: str = field(repr=False)
    host: str
    ports: Ports
    certificate: Path
    fingerprint: str

    @property
    def compared(self) -> str:
        """The fingerprint as programs show it: with colons."""
        return tls.with_colons(self.fingerprint)

    def as_json(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "host": self.host,
            **asdict(self.ports),
            "password": self.password or None,
            "certificate": str(self.certificate),
            "fingerprint": self.fingerprint,
        }


def keep(
    unlocked: Unlocked, password: str, certificate: Certificate, ports: Ports, config: Config
) -> Shown:
    """Write down for `settings` where the proxy listens, and the authority for programs to read."""
    paths = unlocked.paths
    write_private(ca_path(paths), certificate.authority)
    write_private(paths.folder / PORTS_NAME, json.dumps(asdict(ports)).encode())
    return shown(unlocked, password, certificate, ports, config)


def shown(
    unlocked: Unlocked, password: str, certificate: Certificate, ports: Ports, config: Config
) -> Shown:
    # several programs compare names only, so no address where a name will do
    local = len(config.remote) < len(config.addresses)
    host = "localhost" if local else config.certified[0]
    address = unlocked.settings.address
    fingerprint = tls.describe(certificate.authority).fingerprint
    return Shown(address, password, host, ports, ca_path(unlocked.paths), fingerprint)


def last_ports(paths: AccountPaths, config: Config) -> Ports:
    """Those of the last run; of one that never ran, those that are set."""
    try:
        return Ports(**json.loads((paths.folder / PORTS_NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return config.ports


def ca_path(paths: AccountPaths) -> Path:
    return paths.folder / CA_NAME
