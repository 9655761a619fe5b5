"""What a backup holds besides mail: fields, spelling, limits. Its door is `backup`."""

from dataclasses import dataclass, field
from typing import Any

from . import _canonical, _fields
from .statement import ENTRIES_MAX, ENTRY_MAX
from .vault import COUNTER_MAX, IDENTITIES_MAX, KEY_FILE_MAX, STATE_MAX, VAULT_MAX

CERTIFICATES_MAX = 1000  # of all who ever signed the key history
URL_MAX = 2048
CA_MAX = 256 * 1024
PORT_MAX = 65535
ARRIVAL_KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """How the account reaches its server. A port of 0: not offered."""

    server_url: str
    imaps_port: int
    imap_port: int
    smtps_port: int
    smtp_port: int
    arrival_key: bytes  # the newest one that the device had seen
    # PEM, where the server's certificate is of no public authority
    ca: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """`vault` is the box; `state` the payload of the state box, and `state_counter` its counter.

    `statements` are the whole key history, `certificates` those of its signers.
    """

    vault: bytes = field(repr=False)
    statements: tuple[bytes, ...] = field(repr=False)
    certificates: tuple[bytes, ...] = field(repr=False)
    revocations: tuple[bytes, ...] = field(repr=False)
    settings: Settings
    state: bytes | None = field(default=None, repr=False)
    state_counter: int = 0


def encode(content: Content) -> bytes:
    """Canonical JSON. Raises ValueError where `decode` would."""
    text, settings = _fields.base64_text, content.settings
    payload = _canonical.encode(
        {
            "certificates": [text(one) for one in content.certificates],
            "revocations": [text(one) for one in content.revocations],
            "settings": {
                "arrival_key": text(settings.arrival_key),
                "ca": None if settings.ca is None else text(settings.ca),
                "imap_port": settings.imap_port,
                "imaps_port": settings.imaps_port,
                "server_url": settings.server_url,
                "smtp_port": settings.smtp_port,
                "smtps_port": settings.smtps_port,
            },
            "state": None if content.state is None else text(content.state),
            "state_counter": content.state_counter,
            "statements": [text(one) for one in content.statements],
            "vault": text(content.vault),
        }
    )
    decode(payload)
    return payload


def decode(payload: bytes) -> Content:
    """Raises ValueError."""
    certificates, revocations, settings, state, counter, statements, vault = _fields.record(
        _canonical.decode(payload),
        "certificates revocations settings state state_counter statements vault",
    )
    content = Content(
        vault=_octets(vault, VAULT_MAX),
        statements=_list(statements, ENTRY_MAX, ENTRIES_MAX),
        certificates=_list(certificates, KEY_FILE_MAX, CERTIFICATES_MAX),
        revocations=_list(revocations, KEY_FILE_MAX, IDENTITIES_MAX),
        settings=_settings(settings),
        state=None if state is None else _octets(state, STATE_MAX),
        state_counter=_fields.integer(counter, 0, COUNTER_MAX),
    )
    if (content.state is None) != (content.state_counter == 0):
        raise ValueError("a state has a counter, and nothing else has")
    return content


def _settings(value: Any) -> Settings:
    arrival, ca, imap, imaps, url, smtp, smtps = _fields.record(
        value, "arrival_key ca imap_port imaps_port server_url smtp_port smtps_port"
    )
    settings = Settings(
        server_url=_fields.text(url),
        imaps_port=_port(imaps),
        imap_port=_port(imap),
        smtps_port=_port(smtps),
        smtp_port=_port(smtp),
        arrival_key=_octets(arrival, ARRIVAL_KEY_SIZE),
        ca=None if ca is None else _octets(ca, CA_MAX),
    )
    if len(settings.arrival_key) != ARRIVAL_KEY_SIZE:
        raise ValueError("an arrival key has a wrong length")
    if not 0 < len(settings.server_url) <= URL_MAX or not settings.server_url.isprintable():
        raise ValueError("an address of a server is empty, too long or not printable")
    return settings


def _port(value: Any) -> int:
    return _fields.integer(value, 0, PORT_MAX)


def _octets(value: Any, most: int) -> bytes:
    return _fields.base64_octets(value, most)


def _list(value: Any, most: int, count: int) -> tuple[bytes, ...]:
    return _fields.items(value, lambda item: _octets(item, most), 0, count)
