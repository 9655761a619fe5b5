"""Every bound of the POP3 engine, with its reason."""

from __future__ import annotations

LINE = 2048  # RFC 2449 §4 says 255; an AUTH response holds two addresses and a password in base64
NUMBER = 10  # digits of a message or line number: more than any mailbox or mail has
BAD_LOGINS = 3
BAD_COMMANDS_BEFORE_LOGIN = 5  # also stops a browser that was made to talk HTTP to us
BAD_COMMANDS = 50  # in a row

CHUNK = 64 * 1024  # a mail leaves in pieces of at most this size, and a stuffed dot for each line
LISTED_AT_ONCE = 1000  # lines of LIST and UIDL that leave together, some 20 KB
