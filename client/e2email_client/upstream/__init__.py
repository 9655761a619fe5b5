"""The server's sealed IMAP face, as the client uses it."""

from e2email_client.upstream.connect import connect
from e2email_client.upstream.remote import Remote, RemoteMailbox, RemoteState

__all__ = ["Remote", "RemoteMailbox", "RemoteState", "connect"]
