"""Every table of mail.db. docs/specs/threat-model.md lists each column; a test compares.

What is mutable (`messages`) is narrow and apart from what only resealing changes (`records`) and
from the bodies, so that flags of a whole mailbox are read and written without touching mail. Rows
that refer to each other are written and removed in one transaction; foreign keys are not declared
because SQLite would look up each of them again at every insert.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# SQLite numbers only an INTEGER PRIMARY KEY by itself; elsewhere 64 bits are wanted.
_Id = BigInteger().with_variant(Integer, "sqlite")

accounts = Table(
    "accounts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("address", String, nullable=False, unique=True),
    Column("policy", String, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("kdf_t", Integer),
    Column("kdf_m_kib", Integer),
    Column("kdf_salt", LargeBinary),
    Column("auth_hash", String, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("last_uidvalidity", BigInteger, nullable=False),  # changes often, so outside the MAC
    sqlite_autoincrement=True,
)

invites = Table(
    "invites",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("address", String, nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("replaces", BigInteger),  # an account: its keys and logins end with the registration
    Column("mac", LargeBinary, nullable=False),
)

recoveries = Table(
    "recoveries",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("mac", LargeBinary, nullable=False),
)

pairings = Table(
    "pairings",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("expires", BigInteger, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("fingerprint", String, nullable=False),
    Column("octets", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    UniqueConstraint("account_id", "fingerprint"),
)

# Of the key history, and not in use any more. A fingerprint is in one of the two tables.
past_certificates = Table(
    "past_certificates",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("octets", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

statements = Table(
    "statements",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("octets", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

boxes = Table(
    "boxes",
    metadata,
    Column("account_id", BigInteger, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("octets", LargeBinary, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("scopes", String, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("last_used_day", Integer, nullable=False),  # changes with use, so outside the MAC
    sqlite_autoincrement=True,
)

mailboxes = Table(
    "mailboxes",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("name", String, nullable=False),
    Column("special_use", String),
    Column("subscribed", Boolean, nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uidnext", BigInteger, nullable=False),
    Column("highest_modseq", BigInteger, nullable=False),
    Column("object_id", String, nullable=False, server_default=""),
    UniqueConstraint("account_id", "name"),
    sqlite_autoincrement=True,
)

messages = Table(
    "messages",
    metadata,
    Column("mailbox_id", BigInteger, primary_key=True),
    Column("uid", BigInteger, primary_key=True),
    Column("modseq", BigInteger, nullable=False),
    Column("flags", Text, nullable=False),
    Column("internal_date", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("header_size", BigInteger, nullable=False),
    Column("record_id", LargeBinary, nullable=False),
    Column("record", BigInteger, nullable=False),
    Column("saved", BigInteger, nullable=False, server_default="0"),
    Index("messages_by_modseq", "mailbox_id", "modseq"),
    Index("messages_by_record", "record"),
    Index("messages_by_record_id", "mailbox_id", "record_id"),
    sqlite_with_rowid=False,  # one mailbox lies together, by UID
)

records = Table(
    "records",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("form", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("policy", String, nullable=False),
    Column("outer", LargeBinary, nullable=False),
    Column("boundary", LargeBinary, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("body_size", BigInteger, nullable=False),
    Column("body_crc", Integer, nullable=False),
    Column("former", LargeBinary, nullable=False, server_default=""),  # digests, one behind another
)

bodies = Table(
    "bodies",
    metadata,
    Column("id", _Id, primary_key=True),  # of its record
    Column("octets", LargeBinary, nullable=False),
)

body_files = Table(
    "body_files",
    metadata,
    Column("id", _Id, primary_key=True),  # of its record
    Column("name", String, nullable=False),
)

expunged = Table(
    "expunged",
    metadata,
    Column("mailbox_id", BigInteger, primary_key=True),
    Column("uid", BigInteger, primary_key=True),
    Column("modseq", BigInteger, nullable=False),
    Index("expunged_by_modseq", "mailbox_id", "modseq"),
    sqlite_with_rowid=False,
)
