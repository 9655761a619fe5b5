"""The values that go into and come out of the store: frozen, and silent about their contents.

Ids of accounts and mailboxes are small integers, never used twice. Times are whole seconds of
Unix time. A flag is a str as IMAP writes it ("\\Seen", "$Forwarded").
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, fields
from enum import Enum

from e2email_protocol.sealed.record import Form, Policy, Record, RecordHead
from e2email_protocol.sealed.reseal import DIGEST_SIZE, digest

Flags = frozenset[str]

DEFAULT_MAILBOXES: tuple[tuple[str, str | None], ...] = (
    ("INBOX", None),
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
)
"""(name, special use of RFC 6154) that every account is born with."""


# --- accounts -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kdf:
    """Argon2id parameters the client needs to derive `auth` and `wrap`; public to who asks."""

    t: int
    m_kib: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class Login:
    """What `auth` is checked against, and how the client derives it."""

    auth_hash: str = field(repr=False)
    kdf: Kdf = field(repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """An OpenPGP certificate of an account. `fingerprint` is upper-case hex."""

    fingerprint: str
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """One entry of an account's key history: canonical signed octets, opaque to the store."""

    sequence: int
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Box:
    """Something that only the client can open: "vault", "state", "slots". `version` counts up."""

    name: str
    version: int
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An account row whose MAC was right. `inbox` is the id of its INBOX, which never changes."""

    account_id: int
    address: str
    policy: Policy
    enabled: bool
    created: int
    inbox: int
    kdf: Kdf | None = field(repr=False)
    auth_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recipient:
    """What a delivery needs of an account: its certificates and newest statement, MACs checked.

    `statement` is None and `certificates` empty while no key is published: 450 4.7.5.
    """

    account: Account
    certificates: tuple[Certificate, ...]
    statement: Statement | None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """All that registration writes, in one transaction. `address` is normalised lower-case."""

    address: str
    policy: Policy
    kdf: Kdf | None = field(repr=False)
    auth_hash: str = field(repr=False)
    certificates: tuple[Certificate, ...] = ()
    statement: Statement | None = None
    boxes: tuple[Box, ...] = ()
    recovery_hash: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Rewrap:
    """What the account key opens and what opens it, changed in one transaction.

    Boxes named in `absent` must not be stored. `login` and `recovery_hash`: None leaves the old.
    """

    boxes: tuple[Box, ...] = ()
    absent: frozenset[str] = frozenset()
    login: Login | None = None
    recovery_hash: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Invite:
    """Leave to register one address. The token itself is not here, only its keyed hash.

    `replaces`: the account whose keys and logins end with this registration, and whose mail stays.
    """

    address: str
    created: int
    expires: int
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """What waits for a new device: opaque, given once, found by the keyed hash of its id."""

    account_id: int
    expires: int
    pairing_hash: bytes = field(repr=False)
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A device token or app password about to be stored. `kind` is "device" or "app"."""

    account_id: int
    kind: str
    name: str
    scopes: frozenset[str]
    token_hash: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A stored token whose MAC was right. `last_used_day` counts days since 1970, 0 = never."""

    token_id: int
    account_id: int
    kind: str
    name: str
    scopes: frozenset[str]
    created: int
    last_used_day: int


# --- mailboxes and messages -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox as its row stands after some commit. Levels of `name` are parted by "/"."""

    mailbox_id: int
    account_id: int
    name: str
    special_use: str | None
    subscribed: bool
    uidvalidity: int
    uidnext: int
    highest_modseq: int
    object_id: str
    """Random, kept by renaming, never given to another mailbox."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What STATUS asks for beyond the mailbox row. `size` is the sum of RFC822.SIZE."""

    messages: int
    unseen: int
    deleted: int
    size: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One record for one mailbox. Sizes are those of the rendered message, in octets."""

    mailbox_id: int
    record: Record = field(repr=False)
    size: int
    header_size: int
    internal_date: int
    flags: Flags = frozenset()


Messages = Iterable[NewMessage] | AsyncIterable[NewMessage]
"""Made already, or made one by one when the one before has gone where it goes."""


async def one_by_one(messages: Messages) -> AsyncIterator[NewMessage]:
    if isinstance(messages, AsyncIterable):
        async for message in messages:
            yield message
    else:
        for message in messages:
            yield message


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a message went: what APPENDUID and COPYUID say."""

    uidvalidity: int
    uid: int
    modseq: int


@dataclass(frozen=True, slots=True)
class Entry:
    """The skeleton of a message, small enough to hold for a whole mailbox.

    `saved`: when it came into this mailbox, by delivery, APPEND, COPY or MOVE.
    """

    uid: int
    modseq: int
    flags: Flags
    internal_date: int
    size: int
    header_size: int
    record_id: bytes
    saved: int


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An entry with its record. `body` is None where it was not asked for or stands in a file.

    `serial` is another number once the record was resealed.
    """

    entry: Entry
    head: RecordHead
    body: bytes | None = field(repr=False)
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened in a mailbox after some modseq, as one moment saw it (RFC 7162)."""

    mailbox: Mailbox
    entries: tuple[Entry, ...]
    vanished: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A record of an account, and one of the messages that show it."""

    mailbox_id: int
    message: StoredMessage


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope's OpenPGP message of a record."""

    record_id: bytes
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resealed:
    """A record sealed anew: what is exchanged, and the sizes of its rendering.

    `old` is the digest (sealed.reseal) of the form that it is made of. `body` is None where the
    form is verbatim: it stays.
    """

    record_id: bytes
    old: bytes
    envelope: bytes = field(repr=False)
    body: bytes | None = field(repr=False)
    crc: int
    size: int
    header_size: int


class FlagOp(Enum):
    """STORE FLAGS, +FLAGS and -FLAGS."""

    REPLACE = "="
    ADD = "+"
    REMOVE = "-"


@dataclass(frozen=True, slots=True)
class FlagsStored:
    """`changed`: entries with their new flags; `modified`: UIDs that UNCHANGEDSINCE kept."""

    changed: tuple[Entry, ...]
    modified: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """Source and target UIDs in step, as COPYUID gives them (RFC 4315)."""

    uidvalidity: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]


def same_record(
    held: RecordHead, given: RecordHead, former: Callable[[], bytes] = lambda: b""
) -> bool:
    """Whether a record that is appended is the one that the account holds under its id.

    Of the body size and CRC are compared, for accidents: what is given is not stored, so that
    somebody who forges these gains nothing. A verbatim rendering does not tell the boundary.
    `former` gives the digests of the envelopes that it had before it was resealed: somebody may
    still hold that form.
    """
    told = {name.name for name in fields(RecordHead)}
    if held.form is Form.VERBATIM:
        told.remove("boundary")
    differs = {name for name in told if getattr(held, name) != getattr(given, name)}
    if not differs:
        return True
    return differs <= _RESEALED and is_former(given.envelope, former())


_RESEALED = frozenset({"envelope", "crc", "body_size"})
MAX_FORMER = 32  # times that a record is sealed anew and its first form still known: 1 KiB


def and_former(envelope: bytes, former: bytes) -> bytes:
    """`former` with the digest of one more, the newest in front."""
    return (digest(envelope) + former)[: MAX_FORMER * DIGEST_SIZE]


def is_former(envelope: bytes, former: bytes) -> bool:
    wanted = digest(envelope)
    return any(former[at : at + DIGEST_SIZE] == wanted for at in range(0, len(former), DIGEST_SIZE))
