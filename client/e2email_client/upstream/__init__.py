"""The server's sealed IMAP face, as the client uses it."""

from e2email_client.upstream.connect import connect
from e2email_client.upstream.news import News
from e2email_client.upstream.remote import Remote, RemoteMailbox, RemoteState

__all__ = ["News", "Remote", "RemoteMailbox", "RemoteState", "connect"]
