"""What the store can answer instead of a result, in two families.

Refusal: the caller asked for something that cannot be (the peer gets NO or 5xx).
Failure: the world failed (the peer gets 4xx or NO [UNAVAILABLE], the operator gets the cause).
"""


class StoreError(Exception):
    """Base of everything the store raises on purpose."""


class Refusal(StoreError):
    """The request cannot be granted; asking again will not help."""


class NotFound(Refusal):
    """No such account, mailbox, message, token or invite."""


class MessageGone(NotFound):
    """The message that was to be replaced is not there any more."""


class AlreadyExists(Refusal):
    """An account address or mailbox name is taken."""


class Conflict(Refusal):
    """A compare-and-swap lost: the version in the store is not the expected one."""


class BadName(Refusal):
    """A mailbox name that this store does not hold (empty, control characters, too long)."""


class RecordTaken(Refusal):
    """The account holds another record with this record id."""


class LimitReached(Refusal):
    """An account has as many mailboxes or tokens as it may have, or a message as many flags."""


class Failure(StoreError):
    """Nothing was stored; the same request may succeed later."""


class DiskFull(Failure):
    """Free space is below the floor: new mail is refused, deletions still work (452 4.3.1)."""


class StoreFailed(Failure):
    """The disk or the database failed (451 4.3.0)."""


class RowTampered(Failure):
    """A row does not carry the MAC it was stored with: it is not used, the operator is alerted."""


class StoreUnusable(Failure):
    """The store cannot be opened at all: locked by another process, or of a newer version."""
