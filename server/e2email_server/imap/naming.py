"""Mailboxes by name: the store knows them by number."""

from e2email_protocol.imap.errors import NoSuchMailbox
from e2email_server.imap.faults import translated
from e2email_server.store.api import MailboxStore
from e2email_server.store.errors import BadName
from e2email_server.store.names import mailbox_name
from e2email_server.store.types import Mailbox


async def find_mailbox(store: MailboxStore, account_id: int, name: str) -> Mailbox:
    """Raises NoSuchMailbox, Unavailable."""
    try:
        wanted = mailbox_name(name)
    except BadName as error:
        raise NoSuchMailbox from error
    with translated():
        return await store.mailbox_named(account_id, wanted)
