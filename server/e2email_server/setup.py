"""What `init` makes: the settings file, the data directory, a certificate of our own."""

import datetime
from importlib import resources
from pathlib import Path
from string import Template

from e2email_server import datadir
from e2email_server.config_values import ConfigError
from e2email_server.own_ca import own_certificate

CONFIG = "server.toml"
DATA = "data"
AUTHORITY = "ca.crt"

PUBLIC = {
    "smtp": '["0.0.0.0:25", "[::]:25"]',
    "imap": '["0.0.0.0:143", "[::]:143"]',
    "imaps": '["0.0.0.0:993", "[::]:993"]',
    "https": '["0.0.0.0:443", "[::]:443"]',
}
LOOPBACK = dict.fromkeys(PUBLIC, '"127.0.0.1:0"')


def make(folder: Path, domain: str, hostname: str, *, loopback: bool) -> Path:
    """The path of the new server.toml. Raises ConfigError where something stands already."""
    config, data = folder / CONFIG, folder / DATA
    if config.exists() or (data / datadir.KEYS).exists():
        raise ConfigError(f"{folder}: has a server already; init changes nothing")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    datadir.make(data)
    _certificate(data / "tls", [hostname, domain])
    listen = LOOPBACK if loopback else PUBLIC
    text = Template(template()).substitute(hostname=hostname, domain=domain, data=DATA, **listen)
    datadir.write_new(config, text.encode())
    datadir.sync_folder(folder)
    return config


def template() -> str:
    """The commented settings file with its $placeholders."""
    return resources.files("e2email_server").joinpath("template.toml").read_text("utf-8")


def _certificate(folder: Path, names: list[str]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    made = own_certificate(names, datetime.datetime.now(datetime.UTC))
    datadir.write_new(folder / AUTHORITY, made.authority, 0o644)
    datadir.write_new(folder / "server.crt", made.certificate + made.authority, 0o644)
    datadir.write_new(folder / "server.key", made.key)
    datadir.sync_folder(folder)
