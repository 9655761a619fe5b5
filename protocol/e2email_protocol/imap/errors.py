"""What a backend may raise towards the IMAP engine, and what the peer is then told.

The class decides code and sentence; the constructor's words are for the operator's
log and never reach the peer. A backend that needs another sentence makes a subclass.
Anything else a backend raises becomes `NO [SERVERBUG]` and goes to the report callback.
"""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """The command is answered `NO [code] text` (codes: RFC 5530 and the extension's RFC)."""

    code: bytes = b""
    text: ClassVar[bytes] = b"not done"


class AuthenticationFailed(Refused):
    """Wrong user or password; one answer for both, so that names cannot be probed."""

    code = b"AUTHENTICATIONFAILED"
    text = b"wrong user name or password"


class Unavailable(Refused):
    """The world behind the backend (upstream, disk, worker) fails for now; try again later."""

    code = b"UNAVAILABLE"
    text = b"not available now, try again later"


class Away(Unavailable):
    """What the backend stands for cannot be reached, and nothing was done: the connection ends.

    For APPEND: a message that was answered NO mbsync never offers again, after a lost connection it
    does. People read the sentence as an ALERT (RFC 3501 §7.1).
    """

    text = b"the mail server cannot be reached now: nothing was stored, try again later"


class NoSuchMailbox(Refused):
    """The named mailbox does not exist; APPEND, COPY and MOVE say TRYCREATE instead."""

    code = b"NONEXISTENT"
    text = b"no such mailbox"


class TryCreate(Refused):
    """The engine's form of NoSuchMailbox where a CREATE would help (RFC 3501 §7.1)."""

    code = b"TRYCREATE"
    text = b"no such mailbox, create it first"


class AlreadyExists(Refused):
    """CREATE or RENAME onto a name that is taken."""

    code = b"ALREADYEXISTS"
    text = b"that mailbox exists already"


class HasChildren(Refused):
    """DELETE of a mailbox that has others below it and cannot be emptied in place."""

    code = b"HASCHILDREN"
    text = b"there are mailboxes below that one"


class Cannot(Refused):
    """This backend can never do it: a forbidden name, text search over ciphertext."""

    code = b"CANNOT"
    text = b"that cannot be done here"


class NoPermission(Refused):
    """The credential lacks the scope for it."""

    code = b"NOPERM"
    text = b"not permitted with this password"


class ReadOnly(Refused):
    """A change to a mailbox that was opened with EXAMINE."""

    code = b"READ-ONLY"
    text = b"the mailbox is open read-only"


class TooBig(Refused):
    """A message above the size that is taken (RFC 4469)."""

    code = b"TOOBIG"
    text = b"the message is too big"


class OverQuota(Refused):
    """No room: the account's, or the disk's."""

    code = b"OVERQUOTA"
    text = b"no room for it"


class LimitReached(Refused):
    """A bound of the engine or the backend: keys of one search, mailboxes of one account."""

    code = b"LIMIT"
    text = b"that is more than one command may ask for"


class InUse(Refused):
    """Somebody else holds what is needed."""

    code = b"INUSE"
    text = b"in use by another session"


class Vanished(Refused):
    """Some of the messages asked for by number were expunged by another session (RFC 5530)."""

    code = b"EXPUNGEISSUED"
    text = b"some of the messages are no longer there"


class Modified(Refused):
    """Messages of a conditional STORE that were expunged by another session, beside those that

    had changed: `numbers` is a sequence-set (RFC 7162 §3.1.3).
    """

    text = b"some of the messages are no longer there"

    def __init__(self, numbers: bytes):
        super().__init__("changed or expunged meanwhile")
        self.code = b"MODIFIED " + numbers


class UnknownEncoding(Refused):
    """BINARY of a part in a transfer encoding that is not known (RFC 3516 §4.3)."""

    code = b"UNKNOWN-CTE"
    text = b"that part's transfer encoding is not known"


class NoSuchPart(Refused):
    """BINARY.SIZE of a part that is not there: its value is a number, never NIL."""

    text = b"there is no such part"


class BadCharset(Refused):
    """SEARCH in a charset that is not known (RFC 3501 §6.4.4)."""

    code = b"BADCHARSET (US-ASCII UTF-8)"
    text = b"unknown charset"


class BadCommand(Exception):
    """The peer broke the grammar or the state table: answered `BAD text`. Never quotes the peer."""

    def __init__(self, text: bytes):
        super().__init__(text.decode("ascii"))
        self.text = text


class Torn(Exception):
    """A literal broke off after its size was announced: only hanging up keeps the client right."""
