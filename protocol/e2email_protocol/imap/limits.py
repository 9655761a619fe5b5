"""Every bound of the IMAP engine, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

LINE_BEFORE_LOGIN = 8 * 1024  # a long OAuth or GSSAPI response fits, a flood does not
LITERAL_BEFORE_LOGIN = 4 * 1024  # a user name or a password
LINE = 64 * 1024  # mbsync and Thunderbird send uid sets of tens of kilobytes; Dovecot's bound
LITERAL = 64 * 1024  # any argument but a mail
MESSAGE = 50 * 1024 * 1024  # the size SMTP takes, too
APPENDS = 100 * 1024 * 1024  # the messages of one APPEND together (RFC 3502): all wait in memory
APPENDED = 1000  # messages of one APPEND
LITERALS = 64  # of one command; each synchronising one costs a round trip
COMMAND = 256 * 1024  # all lines and literals of one command that is not APPEND
DISCARD = 256 * 1024 * 1024  # a refused {n+} is read past up to here, then the peer is left
TAG = 64  # octets; programs use some five, and it is said again in every answer
VERB = 32  # octets; the longest command has twelve
NAME = 1000  # octets of a mailbox name as sent; file systems and other servers stop at 1,000
LEVELS = 50  # of a mailbox name
KEYWORD = 255  # octets of one keyword; how many a mailbox has is not bounded
FLAGS = 500  # of one command: each message that is stored gets a set of them
NESTING = 50  # SEARCH parentheses, NOT and OR: the evaluation recurses
SEARCH_KEYS = 256  # each is tried on every message, and nobody else is served meanwhile
TEXT_KEYS = 64  # SEARCH keys that each read every message's text
FETCH_ITEMS = 256  # each names a section that is read for every message
REFERENCES = 100  # message ids of one mail that THREAD looks at; the oldest and the newest
SUBJECT = 1000  # characters of a subject that SORT and THREAD look at
SORT_KEYS = 16  # each sorts once more; there are seven, and REVERSE
THREAD_NESTING = 50  # lists in lists: programs read them by recursion
PREVIEW = 200  # characters (RFC 8970 §3.2)
ID_FIELDS = 30  # RFC 2971 §3.3
ID_VALUE = 1024  # RFC 2971 §3.3

BAD_LOGINS = 3
BAD_COMMANDS_BEFORE_LOGIN = 5  # also stops a browser that was made to talk HTTP to us
BAD_COMMANDS = 50  # in a row

INFLATE = 64 * 1024  # octets that come out of DEFLATE before others get their turn
INFLATE_FROM = 4 * 1024  # octets that go into it at once: a thousandfold at most comes out
CHUNK = 64 * 1024  # a reply leaves in pieces of about this size
TURN = 5000  # messages that SEARCH tries before the others get their turn: some milliseconds
VALUES = 500  # that FETCH gives, as above
LETTERS = 20_000  # of mailbox names that LIST compares, as above
FETCH_BATCH = 500  # messages of one wide read
SEEN_AHEAD = 256 * 1024  # octets of mail that become \\Seen at once, just before they are sent


@dataclass(frozen=True, slots=True)
class InputLimits:
    """What the reader takes at one moment; `fatal`: breaking the line bound ends it."""

    line: int
    literal: int
    message: int  # one literal of APPEND
    messages: int  # all of them together
    command: int
    literals: int
    fatal: bool


BEFORE_LOGIN = InputLimits(
    line=LINE_BEFORE_LOGIN,
    literal=LITERAL_BEFORE_LOGIN,
    message=LITERAL_BEFORE_LOGIN,
    messages=LITERAL_BEFORE_LOGIN,
    command=2 * LINE_BEFORE_LOGIN,
    literals=4,
    fatal=True,
)


def after_login(message: int = MESSAGE) -> InputLimits:
    return InputLimits(
        line=LINE,
        literal=LITERAL,
        message=message,
        messages=max(message, APPENDS),
        command=COMMAND,
        literals=LITERALS,
        fatal=False,
    )
