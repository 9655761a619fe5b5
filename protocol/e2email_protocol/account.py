"""The messages of the HTTPS account API (docs/specs/account-api.md), as frozen dataclasses.

What they carry is opaque here: statements, certificates, slots and boxes are octets under a cap,
and the rooms that understand them judge them.
"""

import re
from dataclasses import dataclass
from typing import Final

from e2email_protocol.jsonform import (
    Boolean,
    Form,
    Integer,
    Many,
    Nested,
    Octets,
    Perhaps,
    Text,
    member,
)

API_VERSION: Final = 1

# A certificate above this is refused before any library sees it (DESIGN §8).
CERTIFICATE_CAP: Final = 64 * 1024
CERTIFICATES_CAP: Final = 16
# One signed entry of the key history at its limits; an ordinary one is below 2 KiB.
STATEMENT_CAP: Final = 128 * 1024
# Statements in one reply; a longer history is fetched in pages.
STATEMENTS_PAGE: Final = 16
# Certificates beside a page of statements: a signer of each, and those in use.
HISTORY_CERTIFICATES_CAP: Final = STATEMENTS_PAGE + CERTIFICATES_CAP
# Secret keys, revocation certificates and local secrets of one person: some 20 KiB in practice.
VAULT_CAP: Final = 1024 * 1024
# Contacts with their certificates, pins and heads: some two hundred contacts a MiB.
STATE_CAP: Final = 8 * 1024 * 1024
SLOT_CAP: Final = 4 * 1024
SLOTS_CAP: Final = 8
AUTH_LENGTH: Final = 32
SALT_LENGTH: Final = 16
ADDRESS_CAP: Final = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
NAME_CAP: Final = 64
TOKENS_CAP: Final = 200
# One certificate of the next arrival key is 142 octets; a new key a day lasts three years.
SUCCESSOR_CAP: Final = 256
SUCCESSORS_CAP: Final = 1000
# Largest request but for the state: registration or certificates in base64.
REQUEST_CAP: Final = 2 * 1024 * 1024
# The one request that anybody may send: an address and little else.
QUESTION_CAP: Final = 1024
# The state in base64, up and down; asked for by a known device only.
STATE_REQUEST_CAP: Final = 11 * 1024 * 1024
# State and vault and slots at once: the account key replaced.
ACCOUNT_KEY_REQUEST_CAP: Final = 13 * 1024 * 1024
# What a new device needs: keys, vault, some statements. In base64 it fits REQUEST_CAP.
PAIRING_CAP: Final = 1408 * 1024
# Devices that wait to be paired at the same time; a person sets up one.
PAIRINGS_CAP: Final = 5
# Twelve words are typed within minutes; a message that lies longer only waits for a thief.
PAIRING_SECONDS: Final = 3600
# Envelopes that the server looks at for one reply, some 2 MiB of them.
RECORDS_PAGE: Final = 1000
REPLY_CAP: Final = STATE_REQUEST_CAP

SCOPES: Final = ("read", "write", "delete", "send")
DEVICE: Final = "device"
APP: Final = "app"
AUTOCONFIG: Final = ("proxy", "sealed", "none")
# Slots that may leave the device; a keyring slot is of use on its own machine only.
SERVED_SLOTS: Final = ("passphrase", "recovery")

_ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+", re.ASCII)
_TOKEN = re.compile(r"e2[a-z]_[0-9a-z]{20,100}", re.ASCII)
_IDENTIFIER = re.compile(r"[0-9a-z-]+", re.ASCII)
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}", re.ASCII)
_RECORD_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_HOST = re.compile(r"[0-9A-Za-z.:-]+", re.ASCII)


def _matches(pattern: re.Pattern[str]) -> Text:
    return Text(ADDRESS_CAP, accept=lambda text: pattern.fullmatch(text) is not None)


ADDRESS: Final = _matches(_ADDRESS)
TOKEN: Final = _matches(_TOKEN)
IDENTIFIER: Final = _matches(_IDENTIFIER)
HOST: Final = _matches(_HOST)
FINGERPRINT: Final = _matches(_FINGERPRINT)
RECORD_ID: Final = _matches(_RECORD_ID)
VERSION: Final = Integer(least=1)
RECOVERY: Final = Perhaps(Octets(AUTH_LENGTH, AUTH_LENGTH))
PORT: Final = Perhaps(Integer(65535, least=1))


@dataclass(frozen=True, slots=True)
class KdfParameters(Form):
    """How a passphrase is stretched: Argon2id passes, memory in KiB, salt.

    The bounds here only keep numbers sane; the client refuses what is outside its floor and
    ceiling before it takes memory.
    """

    t: int = member(Integer(2**32 - 1, least=1))
    m_kib: int = member(Integer(2**32 - 1, least=1))
    salt: bytes = member(Octets(SALT_LENGTH, SALT_LENGTH))


@dataclass(frozen=True, slots=True)
class Slot(Form):
    """The account key, wrapped; only its owner's secret opens it. Each kind counts its versions."""

    kind: str = member(Text(16, accept=SERVED_SLOTS.__contains__))
    version: int = member(VERSION)
    wrapped: bytes = member(Octets(SLOT_CAP, 1), show=False)


@dataclass(frozen=True, slots=True)
class Registration(Form):
    """POST /v1/accounts: a new account. The invite stands in the request's header.

    `recovery` is what a later login by the recovery secret shows, null where there is none yet.
    In paranoid custody `slots` is empty and `vault` null: neither ever leaves the device.
    """

    address: str = member(ADDRESS)
    auth: bytes = member(Octets(AUTH_LENGTH, AUTH_LENGTH), show=False)
    kdf: KdfParameters = member(Nested(KdfParameters))  # noqa: RUF009  # a dataclass field
    slots: tuple[Slot, ...] = member(Many(Nested(Slot), SLOTS_CAP), show=False)
    vault: bytes | None = member(Perhaps(Octets(VAULT_CAP, 1)), show=False)
    statement: bytes = member(Octets(STATEMENT_CAP, 1), show=False)
    certificate: bytes = member(Octets(CERTIFICATE_CAP, 1), show=False)
    recovery: bytes | None = member(RECOVERY, show=False)


@dataclass(frozen=True, slots=True)
class LoginQuestion(Form):
    """POST /v1/login-parameters; the reply is KdfParameters, also for unknown addresses."""

    address: str = member(ADDRESS)


@dataclass(frozen=True, slots=True)
class SlotVersion(Form):
    """Of a stored slot all but the slot."""

    kind: str = member(Text(16))
    version: int = member(VERSION)


@dataclass(frozen=True, slots=True)
class AccountInfo(Form):
    """GET /v1/account: versions to compare with what the device holds. 0: not stored here.

    `recovery`: whether a recovery secret logs in.
    """

    address: str = member(ADDRESS)
    statements: int = member(Integer())
    vault_version: int = member(Integer())
    state_version: int = member(Integer())
    slots: tuple[SlotVersion, ...] = member(Many(Nested(SlotVersion, strict=False), SLOTS_CAP))
    recovery: bool = member(Boolean())


@dataclass(frozen=True, slots=True)
class VaultBox(Form):
    """GET and PUT /v1/vault. A PUT succeeds when `version` is one above the stored one."""

    version: int = member(VERSION)
    vault: bytes = member(Octets(VAULT_CAP, 1), show=False)


@dataclass(frozen=True, slots=True)
class Slots(Form):
    """GET /v1/slots."""

    slots: tuple[Slot, ...] = member(Many(Nested(Slot, strict=False), SLOTS_CAP), show=False)


@dataclass(frozen=True, slots=True)
class NewLogin(Form):
    """What the server checks from now on, and how the client derives it."""

    auth: bytes = member(Octets(AUTH_LENGTH, AUTH_LENGTH), show=False)
    kdf: KdfParameters = member(Nested(KdfParameters))  # noqa: RUF009  # a dataclass field


@dataclass(frozen=True, slots=True)
class NewSlot(Form):
    """PUT /v1/slots: one slot, versioned like VaultBox.

    The passphrase slot changes together with `login`, the recovery slot together with `recovery`,
    in one transaction. Where no slot of the kind is stored (paranoid custody), `slot` may be null:
    then only the login changes.
    """

    slot: Slot | None = member(Perhaps(Nested(Slot)), show=False)  # noqa: RUF009  # a field
    login: NewLogin | None = member(Perhaps(Nested(NewLogin)))  # noqa: RUF009  # as above
    recovery: bytes | None = member(RECOVERY, show=False)


@dataclass(frozen=True, slots=True)
class StateBox(Form):
    """GET and PUT /v1/state, versioned like VaultBox."""

    version: int = member(VERSION)
    state: bytes = member(Octets(STATE_CAP, 1), show=False)


@dataclass(frozen=True, slots=True)
class NewAccountKey(Form):
    """PUT /v1/account-key: everything that hangs on the account key, replaced in one transaction.

    Each is versioned like VaultBox. What is null or not named must not be stored either, or the
    old account key would go on opening it. A login or recovery that is null stays as it was.
    """

    vault: VaultBox | None = member(Perhaps(Nested(VaultBox)), show=False)  # noqa: RUF009  # a field
    state: StateBox | None = member(Perhaps(Nested(StateBox)), show=False)  # noqa: RUF009  # as above
    slots: tuple[Slot, ...] = member(Many(Nested(Slot), SLOTS_CAP), show=False)
    login: NewLogin | None = member(Perhaps(Nested(NewLogin)))  # noqa: RUF009  # as above
    recovery: bytes | None = member(RECOVERY, show=False)


@dataclass(frozen=True, slots=True)
class NewPairing(Form):
    """PUT /v1/pairings/{id}: a message for a new device; `expires` in seconds since 1970."""

    expires: int = member(Integer(least=1))
    message: bytes = member(Octets(PAIRING_CAP, 1), show=False)


@dataclass(frozen=True, slots=True)
class PairingMessage(Form):
    """POST /v1/pairings/{id}: the message, given once."""

    message: bytes = member(Octets(PAIRING_CAP, 1), show=False)


@dataclass(frozen=True, slots=True)
class Statements(Form):
    """GET /v1/statements?from=N: signed statements from sequence N on, at most a page.

    `certificates`: of the signers of these, past ones too, and those in use; of each the newest
    form.
    """

    statements: tuple[bytes, ...] = member(
        Many(Octets(STATEMENT_CAP, 1), STATEMENTS_PAGE), show=False
    )
    certificates: tuple[bytes, ...] = member(
        Many(Octets(CERTIFICATE_CAP, 1), HISTORY_CERTIFICATES_CAP), show=False
    )


@dataclass(frozen=True, slots=True)
class Directory(Form):
    """GET /v1/directory/{address}?from=N: another account's history, paged like Statements.

    `in_use`: fingerprints of the certificates that its mail is sealed to.
    """

    statements: tuple[bytes, ...] = member(
        Many(Octets(STATEMENT_CAP, 1), STATEMENTS_PAGE), show=False
    )
    certificates: tuple[bytes, ...] = member(
        Many(Octets(CERTIFICATE_CAP, 1), HISTORY_CERTIFICATES_CAP), show=False
    )
    in_use: tuple[str, ...] = member(Many(FINGERPRINT, CERTIFICATES_CAP))


@dataclass(frozen=True, slots=True)
class NewStatement(Form):
    """POST /v1/statements: the next entry, with the same certificates as the last."""

    statement: bytes = member(Octets(STATEMENT_CAP, 1), show=False)


@dataclass(frozen=True, slots=True)
class Nothing(Form):
    """The answer to what is only done: `{}`."""


@dataclass(frozen=True, slots=True)
class NewCertificates(Form):
    """PUT /v1/certificates: all recipient certificates and the statement that lists them."""

    statement: bytes = member(Octets(STATEMENT_CAP, 1), show=False)
    certificates: tuple[bytes, ...] = member(
        Many(Octets(CERTIFICATE_CAP, 1), CERTIFICATES_CAP, 1), show=False
    )


@dataclass(frozen=True, slots=True)
class Revocation(Form):
    """PUT /v1/revocation: a certificate of the account with a revocation of its primary key."""

    certificate: bytes = member(Octets(CERTIFICATE_CAP, 1), show=False)


@dataclass(frozen=True, slots=True)
class RecordList(Form):
    """GET /v1/records: record ids in order, at most a page, and perhaps none.

    `after`: ask for what is behind it; null where this is the end.
    """

    records: tuple[str, ...] = member(Many(RECORD_ID, RECORDS_PAGE))
    after: str | None = member(Perhaps(RECORD_ID))


@dataclass(frozen=True, slots=True)
class Autoconfig(Form):
    """GET and PUT /v1/autoconfig: what mail programs that look the account up are told.

    The proxy on the user's machine, this server's sealed face, or nothing.
    """

    choice: str = member(Text(8, accept=AUTOCONFIG.__contains__))


@dataclass(frozen=True, slots=True)
class TokenRequest(Form):
    """POST /v1/tokens. A device token is for our own client, an app token for mail programs."""

    kind: str = member(Text(8, accept=(DEVICE, APP).__contains__))
    name: str = member(Text(NAME_CAP))
    scopes: tuple[str, ...] = member(Many(Text(8, accept=SCOPES.__contains__), len(SCOPES), 1))


@dataclass(frozen=True, slots=True)
class NewToken(Form):
    """The only reply that ever holds the token itself."""

    id: str = member(IDENTIFIER)
    token: str = member(TOKEN, show=False)


@dataclass(frozen=True, slots=True)
class TokenInfo(Form):
    """A token without its secret; `created` in seconds, `used` in days since 1970 (0: never)."""

    id: str = member(IDENTIFIER)
    kind: str = member(Text(8))
    name: str = member(Text(NAME_CAP))
    scopes: tuple[str, ...] = member(Many(Text(8), len(SCOPES)))
    created: int = member(Integer())
    used: int = member(Integer())


@dataclass(frozen=True, slots=True)
class Tokens(Form):
    """GET /v1/tokens."""

    tokens: tuple[TokenInfo, ...] = member(Many(Nested(TokenInfo, strict=False), TOKENS_CAP))


@dataclass(frozen=True, slots=True)
class Ports(Form):
    """Ports for mail programs and our client; null: not offered."""

    imap: int | None = member(PORT)
    imaps: int | None = member(PORT)
    pop3: int | None = member(PORT)
    pop3s: int | None = member(PORT)
    submission: int | None = member(PORT)
    submissions: int | None = member(PORT)


@dataclass(frozen=True, slots=True)
class ServerInfo(Form):
    """GET /v1/server: what a client must know before it logs in.

    `name` goes into the passphrase split and every slot, so it never changes for a server.
    `arrival` is today's arrival key; `successors` certify the way to it from every earlier one.
    """

    name: str = member(HOST)
    api: int = member(Integer(least=1))
    arrival: bytes = member(Octets(32, 32))
    successors: tuple[bytes, ...] = member(Many(Octets(SUCCESSOR_CAP, 1), SUCCESSORS_CAP))
    ports: Ports = member(Nested(Ports, strict=False))  # noqa: RUF009  # a dataclass field


@dataclass(frozen=True, slots=True)
class Refusal(Form):
    """Every reply from 400 to 599: a code for programs and a bland sentence for people."""

    error: str = member(IDENTIFIER)
    message: str = member(Text(300))
