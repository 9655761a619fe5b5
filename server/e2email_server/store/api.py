"""The store as the rest of the server sees it: async methods that return after the durable commit.

Two implementations pass one contract test: `sql.SqlStore` and `memory.MemoryStore`. Every method
may raise Failure; Refusals are named. No method keeps a read transaction open across an await.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from e2email_protocol.sealed.record import Policy
from e2email_server.store.types import (
    Account,
    Box,
    Certificate,
    Changes,
    Copied,
    Counts,
    Envelope,
    FlagOp,
    Flags,
    FlagsStored,
    Held,
    Invite,
    Mailbox,
    Messages,
    NewAccount,
    NewMessage,
    NewToken,
    Pairing,
    Placed,
    Recipient,
    Resealed,
    Rewrap,
    Statement,
    StoredMessage,
    Token,
)


class AccountStore(Protocol):
    """Accounts, their certificates and their key history. Rows carry MACs: RowTampered."""

    @property
    def epoch(self) -> int:
        """Another number whenever account rows may have changed or a token was removed.

        By whoever's hand. What was worked out from `recipient`, and that a token was there, may be
        kept while the epoch stays the same.
        """
        ...

    async def register(self, account: NewAccount, invite_hash: bytes | None) -> Account:
        """Make the account with its default mailboxes and use up the invite, all or nothing.

        With an invite that replaces, the account is there and its mail stays: its key history goes
        on with `account.statement`, everything else of it is replaced, tokens and pairings end.

        Raises NotFound (no such invite for this address, or expired), AlreadyExists, Conflict (not
        the next statement).
        """
        ...

    async def account(self, address: str) -> Account:
        """Raises NotFound. `address` is normalised lower-case, as everywhere."""
        ...

    async def account_by_id(self, account_id: int) -> Account:
        """Raises NotFound."""
        ...

    async def accounts(self) -> list[Account]:
        """All accounts, the oldest first."""
        ...

    async def recipient(self, address: str) -> Recipient:
        """Account, certificates and newest statement in one read. Raises NotFound."""
        ...

    async def statements(self, account_id: int, first: int, count: int) -> list[Statement]:
        """A page of the key history from sequence `first` on, in order."""
        ...

    async def certificates(self, account_id: int) -> list[Certificate]:
        """All that the key history ever had, those in use first, each in its newest form."""
        ...

    async def revise(self, account_id: int, certificate: Certificate) -> None:
        """Another form of a certificate that is here, in use or past. Raises NotFound."""
        ...

    async def publish(
        self,
        account_id: int,
        certificates: Sequence[Certificate],
        statement: Statement,
        policy: Policy,
    ) -> None:
        """Append the statement and replace certificates and policy by what it says.

        Raises Conflict unless `statement.sequence` is the newest plus one (the first is 1).
        """
        ...

    async def set_enabled(self, account_id: int, enabled: bool) -> None: ...

    async def rewrap(self, account_id: int, change: Rewrap) -> None:
        """Change boxes and logins together.

        Raises NotFound, and Conflict when a box has not the stored version plus one, or one that
        must be absent is there.
        """
        ...


class CredentialStore(Protocol):
    """Invites, tokens and the boxes that only the client can open."""

    async def invite(self, invite: Invite, invite_hash: bytes) -> None:
        """Keep an invite; an older one for the address ends.

        Raises AlreadyExists (an account with the address, and not `replaces`), NotFound (the one
        to replace has another address).
        """
        ...

    async def find_recovery(self, recovery_hash: bytes) -> int:
        """The account that a recovery secret logs in to. Raises NotFound."""
        ...

    async def has_recovery(self, account_id: int) -> bool: ...

    async def add_pairing(self, pairing: Pairing) -> None:
        """Keep it; expired ones of all accounts go. The same one again replaces it.

        Raises LimitReached, and Conflict when another account has one under this hash.
        """
        ...

    async def take_pairing(self, pairing_hash: bytes) -> Pairing:
        """Give it and forget it. Raises NotFound, also for an expired one."""
        ...

    async def sweep_pairings(self) -> int:
        """Remove what has expired; how many."""
        ...

    async def find_invite(self, invite_hash: bytes) -> Invite:
        """Raises NotFound, also for an expired one."""
        ...

    async def add_token(self, token: NewToken) -> Token:
        """Raises LimitReached."""
        ...

    async def find_token(self, token_hash: bytes) -> Token:
        """Raises NotFound."""
        ...

    async def tokens(self, account_id: int) -> list[Token]: ...

    async def remove_token(self, account_id: int, token_id: int) -> None:
        """Raises NotFound."""
        ...

    async def token_used(self, token_id: int, day: int) -> None: ...

    async def boxes(self, account_id: int) -> list[Box]:
        """All boxes of the account, by name."""
        ...

    async def box(self, account_id: int, name: str) -> Box:
        """Raises NotFound."""
        ...

    async def put_box(self, account_id: int, box: Box) -> None:
        """Raises Conflict unless `box.version` is the stored version plus one (a new box: 1)."""
        ...

    async def remove_boxes(self, account_id: int, names: Collection[str]) -> None:
        """Those of them that are there."""
        ...


class MailboxStore(Protocol):
    """Mailboxes of an account. INBOX always exists; other names are case-sensitive."""

    async def mailboxes(self, account_id: int) -> list[Mailbox]: ...

    async def mailbox(self, mailbox_id: int) -> Mailbox:
        """Raises NotFound."""
        ...

    async def mailbox_named(self, account_id: int, name: str) -> Mailbox:
        """By its name as it is stored. Raises NotFound."""
        ...

    async def counts(self, mailbox_id: int) -> Counts: ...

    async def create(self, account_id: int, name: str, special_use: str | None = None) -> Mailbox:
        """Raises AlreadyExists, BadName, LimitReached."""
        ...

    async def rename(self, mailbox_id: int, name: str) -> None:
        """Takes inferior names along; INBOX stays and gives its mail away (RFC 9051 §6.3.6).

        Raises NotFound, AlreadyExists, BadName.
        """
        ...

    async def delete(self, mailbox_id: int) -> None:
        """Raises NotFound, BadName (INBOX)."""
        ...

    async def subscribe(self, mailbox_id: int, subscribed: bool) -> None:
        """Raises NotFound."""
        ...


class MessageStore(Protocol):
    """Messages. UID and MODSEQ are taken from the mailbox row inside the commit."""

    def has_room(self) -> bool:
        """Whether new mail would find free space above the floor (ask before sealing)."""
        ...

    async def deliver(self, messages: Messages) -> list[Placed]:
        """Store them all, durably, or none. Raises NotFound (a mailbox), DiskFull.

        Messages may be made while it runs; then nothing large is held, and what making them
        raises passes through.

        The first delivery after another process wrote to the database fails (StoreFailed, with a
        new epoch): its certificates may have been looked up before.
        """
        ...

    async def append(self, messages: Sequence[NewMessage]) -> list[Placed]:
        """As deliver; of a record that lies in its mailbox already the place it has there.

        One that lies elsewhere in the account is shared. Raises RecordTaken where the account
        holds another record with that id.
        """
        ...

    async def replace(self, mailbox_id: int, uid: int, message: NewMessage) -> Placed:
        """append() of one, and `uid` of that mailbox is gone, in one commit (RFC 8508).

        Raises MessageGone when it is not there any more; else as append().
        """
        ...

    async def entries(self, mailbox_id: int) -> Changes:
        """The whole skeleton of a mailbox by UID. Raises NotFound."""
        ...

    async def changes(self, mailbox_id: int, since: int) -> Changes:
        """Entries and expunged UIDs with a modseq above `since`, by UID. Raises NotFound."""
        ...

    async def messages(
        self, mailbox_id: int, uids: Sequence[int], *, bodies: bool = False
    ) -> list[StoredMessage]:
        """The records of those UIDs that exist, by UID. The caller bounds how many it asks for."""
        ...

    async def body(
        self, mailbox_id: int, uid: int, start: int, count: int, serial: int | None = None
    ) -> bytes:
        """A range of the binary body, cut at its end.

        Raises NotFound: expunged meanwhile, or resealed since `serial` was read.
        """
        ...

    async def held(self, account_id: int, record_id: bytes) -> Held:
        """The record, wherever in the account it is shown. Raises NotFound."""
        ...

    async def envelopes(self, account_id: int, after: bytes, count: int) -> list[Envelope]:
        """So many records with an id above `after`, by id, each once."""
        ...

    async def reseal(self, account_id: int, record: Resealed) -> None:
        """Exchange both messages of a record, everywhere it is shown, in one commit.

        Its messages get a modseq and keep everything else. Raises NotFound, Conflict (`old` is not
        what is stored), DiskFull.
        """
        ...

    async def store_flags(
        self,
        mailbox_id: int,
        uids: Sequence[int],
        op: FlagOp,
        flags: Flags,
        unchanged_since: int | None = None,
    ) -> FlagsStored:
        """Absent UIDs are passed over. A message whose flags stay the same keeps its modseq."""
        ...

    async def expunge(self, mailbox_id: int, uids: Iterable[int] | None) -> list[int]:
        """Remove what is marked \\Deleted, of these UIDs or of all; the UIDs removed."""
        ...

    async def remove(self, mailbox_id: int, uids: Sequence[int]) -> list[int]:
        """Remove these, whatever their flags (POP3); the UIDs removed. Raises NotFound."""
        ...

    async def copy(self, mailbox_id: int, uids: Sequence[int], target_id: int) -> Copied:
        """Flags and date travel along, the record is shared. Raises NotFound (target), DiskFull."""
        ...

    async def move(self, mailbox_id: int, uids: Sequence[int], target_id: int) -> Copied:
        """Raises NotFound (target)."""
        ...

    async def wait(self, mailbox_id: int, modseq: int) -> int:
        """Return the mailbox's highest modseq once it is above `modseq`; cancel at will.

        Raises NotFound when the mailbox is deleted.
        """
        ...


class Store(AccountStore, CredentialStore, MailboxStore, MessageStore, Protocol):
    """All of it, and the life of the store itself."""

    async def close(self) -> None:
        """Finish what is queued and let go of the files."""
        ...
