"""What a backend may raise towards the POP3 engine, and what the peer is then told.

The class decides code (RFC 2449 §8, RFC 3206) and sentence; the constructor's words are for the
operator's log and never reach the peer. Anything else a backend raises becomes `[SYS/TEMP]`.
"""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """The command is answered `-ERR [code] text`."""

    code: ClassVar[bytes] = b""
    text: ClassVar[bytes] = b"not done"


class AuthenticationFailed(Refused):
    """Wrong user or password; one answer for both, so that names cannot be probed."""

    code = b"AUTH"
    text = b"wrong user name or password"


class LoginDelay(Refused):
    """Too soon after other logins, good or bad; the password was not looked at."""

    code = b"LOGIN-DELAY"
    text = b"too many logins, wait a little"


class InUse(Refused):
    """Another session holds the mailbox (RFC 1939 §4: exclusive access)."""

    code = b"IN-USE"
    text = b"the mailbox is open in another session"


class Unavailable(Refused):
    """The world behind the backend (upstream, disk, worker) fails for now; try again later."""

    code = b"SYS/TEMP"
    text = b"not available now, try again later"


class NotRemoved(Unavailable):
    """Of the messages marked by DELE some are still there (RFC 1939 §6)."""

    text = b"some deleted messages not removed"


class NoSuchMessage(Refused):
    """A number that is not in the list, or a message marked by DELE."""

    text = b"no such message"


class Vanished(NoSuchMessage):
    """Listed at login, and removed since by another program that does not speak POP3."""

    text = b"the message is no longer there"


class PrivacyRequired(Refused):
    """The password would travel in clear (it already has, but not to be used)."""

    text = b"not without TLS"


class BadCommand(Exception):
    """The peer broke the grammar or the state table: `-ERR text`. Never quotes the peer."""

    def __init__(self, text: bytes):
        super().__init__(text.decode("ascii"))
        self.text = text


class Torn(Exception):
    """A mail broke off after its +OK: only hanging up keeps the client from taking it as whole."""
