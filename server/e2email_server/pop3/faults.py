"""The one door between what the sealed face raises and what the POP3 engine tells the peer."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2email_protocol.imap import errors as imap
from e2email_protocol.pop3 import errors
from e2email_server.imap.access import Revoked
from e2email_server.store.errors import StoreError


class NotPermitted(errors.Refused):
    """The password's scopes do not allow it (RFC 3206 §4: a problem of the credentials)."""

    code = b"AUTH"
    text = b"not permitted with this password"


class NoLonger(NotPermitted):
    text = b"this password is not valid any more"


@contextmanager
def told() -> Iterator[None]:
    """Raises errors.Refused for whatever store and sealed face raise; the cause goes to the log."""
    try:
        yield
    except Revoked as error:
        raise NoLonger from error
    except imap.NoPermission as error:
        raise NotPermitted(str(error)) from error
    except imap.Vanished as error:
        raise errors.Vanished from error
    except (imap.Refused, StoreError) as error:
        raise errors.Unavailable(str(error) or type(error).__name__) from error
