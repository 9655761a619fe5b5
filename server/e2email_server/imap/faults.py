"""The one door between the store's errors and what the IMAP engine tells the peer."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2email_protocol.imap import errors
from e2email_server.store.errors import (
    AlreadyExists,
    BadName,
    DiskFull,
    Failure,
    LimitReached,
    MessageGone,
    NotFound,
    RecordTaken,
)


class OtherRecord(errors.Cannot):
    text = b"a different message has this id"


@contextmanager
def translated() -> Iterator[None]:
    """Raises errors.Refused for whatever the store raises; the cause goes to the log."""
    try:
        yield
    except MessageGone as error:
        raise errors.Vanished from error
    except NotFound as error:
        raise errors.NoSuchMailbox from error
    except AlreadyExists as error:
        raise errors.AlreadyExists from error
    except BadName as error:
        raise errors.Cannot from error
    except RecordTaken as error:
        raise OtherRecord from error
    except LimitReached as error:
        raise errors.LimitReached from error
    except DiskFull as error:
        raise errors.OverQuota from error
    except Failure as error:
        raise errors.Unavailable from error
