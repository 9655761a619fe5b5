"""QRESYNC after any history: a client that was away knows the mailbox again, without a full FETCH.

Two clients with a cache, a third party that changes the mailbox, connections that are dropped
between a command and its answer, and a backend that may forget what vanished.
"""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from e2email_protocol.imap.response import ResponseReader
from e2email_protocol.imap.response_types import Condition, Exists, Expunge, Fetch, Tagged, Vanished
from e2email_protocol.imap.sequence import normal, render_set
from support.imap import MAIL, Account, Client, Stored

FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$work")
HAS = frozenset({b"CONDSTORE", b"QRESYNC"})
HOLDS = (b"FETCH", b"STORE", b"SEARCH")


class Caching:
    """A mail program with a cache, by RFC 7162 §3.2 and Appendix B; `flags` is that cache."""

    def __init__(self, account: Account):
        self.account = account
        self.box = account.boxes["INBOX"]
        self.flags: dict[int, frozenset[str]] = {}
        self.uidvalidity = 0
        self.modseq = 0
        self.uidnext = 1  # all below is in the cache, or gone
        self.client: Client | None = None

    async def connect(self, form: str) -> None:
        self.client = Client(self.account, has=HAS)
        self.reader = ResponseReader()
        self.exists = 0
        self.grown = False
        self.pending = 0  # the highest MODSEQ of FETCH replies, not yet to be relied on
        self.hear(b"", await self.client.ask())
        await self.ask(b"LOGIN alice@example.test secret")
        await self.ask(b"ENABLE QRESYNC")
        await self.ask(b"SELECT INBOX" + self.resync(form))

    def resync(self, form: str) -> bytes:
        if not self.modseq:
            return b""
        text = b"%d %d" % (self.uidvalidity, self.modseq)
        if self.flags and form != "bare":
            text += b" " + render_set(self.flags)
        if self.flags and form == "match":
            text += b" (1:%d %b)" % (len(self.flags), render_set(self.flags))
        return b" (QRESYNC (" + text + b"))"

    async def look(self) -> None:
        """Fetch what is new."""
        self.grown = False
        await self.ask(b"UID FETCH %d:* (FLAGS)" % self.uidnext)
        self.uidnext = max([self.uidnext - 1, *self.flags]) + 1

    async def ask(self, command: bytes) -> None:
        assert self.client is not None
        self.hear(command, await self.client.ask(b"a " + command + b"\r\n"))
        if self.grown:
            await self.look()

    def hear(self, command: bytes, octets: bytes) -> None:
        self.reader.feed(octets)
        for response in self.reader:
            match response:
                case Exists(count):
                    self.exists = count
                    self.grown = True
                case Expunge():
                    raise AssertionError("EXPUNGE after ENABLE QRESYNC")
                case Vanished(earlier, uids):
                    self.vanish(command, earlier, uids)
                case Fetch():
                    assert response.uid is not None or command.startswith(b"FETCH")
                    self.learn(response)
                case Tagged() | Condition():
                    assert response.status in (b"OK", b"NO"), command
                    self.note(response)
        if not command.startswith(HOLDS):
            self.modseq = max(self.modseq, self.pending)

    def vanish(self, command: bytes, earlier: bool, uids) -> None:
        assert not command.startswith(HOLDS)
        for low, high in normal(uids, 0):
            for uid in range(low, high + 1):
                if not earlier:
                    self.exists -= 1
                self.flags.pop(uid, None)

    def learn(self, fetch: Fetch) -> None:
        self.pending = max(self.pending, fetch.modseq or 0)
        if fetch.uid is not None and fetch.flags is not None:
            self.flags[fetch.uid] = fetch.flags - {"\\Recent"}

    def note(self, response: Tagged | Condition) -> None:
        match response.code and (response.code.name, response.code.arguments):
            case (b"HIGHESTMODSEQ", value):
                self.modseq = max(self.modseq, int(value))
            case (b"UIDVALIDITY", value):
                self.uidvalidity = int(value)

    async def drop(self, command: bytes) -> None:
        """The command arrives, the answer does not."""
        assert self.client is not None
        await self.client.ask(b"a " + command + b"\r\n")
        await self.client.connection.close()
        self.client = None

    def check(self) -> None:
        truth = self.box.entries
        assert self.flags == {uid: entry.flags for uid, entry in truth.items()}
        assert self.exists == len(truth)


number = st.integers(1, 8)
flag = st.sampled_from(FLAGS)
sign = st.sampled_from([b"+", b"-"])
commands = st.one_of(
    st.builds(lambda n, s, f: b"STORE %d %bFLAGS (%b)" % (n, s, f.encode()), number, sign, flag),
    st.builds(
        lambda n, s, f: b"UID STORE %d %bFLAGS (%b)" % (n, s, f.encode()), number, sign, flag
    ),
    st.builds(lambda n: b"FETCH %d (FLAGS MODSEQ)" % n, number),
    st.builds(lambda n: b"UID FETCH %d (BODY[TEXT])" % n, number),
    st.builds(lambda n: b"UID MOVE %d INBOX" % n, number),
    st.builds(lambda n: b"UID EXPUNGE %d" % n, number),
    st.just(b"UID STORE 1:* (UNCHANGEDSINCE 9) +FLAGS (\\Deleted)"),
    st.just(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL)),
    st.sampled_from([b"NOOP", b"EXPUNGE", b"SEARCH ALL"]),
)
form = st.sampled_from(["bare", "known", "match"])
steps = st.one_of(
    st.tuples(st.just("ask"), commands),
    st.tuples(st.just("drop"), commands),
    st.tuples(st.just("connect"), form),
    st.tuples(st.just("add")),
    st.tuples(st.just("flags"), number, st.frozensets(flag)),
    st.tuples(st.just("expunge"), number),
    st.tuples(st.just("forget")),
)


def elsewhere(account: Account, what: tuple) -> None:
    box = account.boxes["INBOX"]
    match what:
        case ("add",):
            box.add(Stored(MAIL))
        case ("flags", uid, flags) if uid in box.entries:
            box.set_flags(uid, flags)
        case ("expunge", uid) if uid in box.entries:
            box.remove(uid)
        case ("forget",):
            box.forget()


async def step(account: Account, who: Caching, what: tuple) -> None:
    match what:
        case ("connect", words):
            if who.client is not None:
                await who.client.connection.close()
            await who.connect(words)
            who.check()
        case ("ask", command) if who.client is not None and possible(who, command):
            await who.ask(command)
        case ("drop", command) if who.client is not None:
            await who.drop(command)
        case _:
            elsewhere(account, what)


def possible(who: Caching, command: bytes) -> bool:
    """Numbers that a client counts with exist."""
    verb, *rest = command.split()
    return verb not in (b"STORE", b"FETCH") or int(rest[0]) <= who.exists


async def run(script: list) -> None:
    account = Account(*[MAIL] * 4)
    clients = [Caching(account), Caching(account)]
    for client in clients:
        await client.connect("bare")
    for which, what in script:
        await step(account, clients[which], what)
    for client in clients:
        if client.client is not None:
            await client.ask(b"NOOP")
            client.check()
        await client.connect("known")
        client.check()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), steps), max_size=30))
def test_a_client_that_was_away_knows_the_mailbox_again(script):
    asyncio.run(run(script))


async def test_a_forgetful_mailbox_of_many_uids_costs_what_it_holds():
    account = Account()
    box = account.boxes["INBOX"]
    for uid in (7, 3_000_000_000):
        box.uidnext = uid
        box.add(Stored(MAIL))
    box.forget()
    client = Client(account, has=HAS)
    await client.login()
    await client.ask(b"a ENABLE QRESYNC\r\n")
    said = await client.ask(b"b SELECT INBOX (QRESYNC (1 2 1:4294967295 (1:4294967295 1:9)))\r\n")
    assert b"* VANISHED (EARLIER) 1:6,8:2999999999\r\n" in said
    assert said.count(b" FETCH (") == 1
    said = await client.ask(b"c UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)\r\n")
    assert said.startswith(b"* VANISHED (EARLIER) 1:6,8:2999999999\r\n")


async def test_a_thousand_expunges_are_one_reply():
    account = Account(*[MAIL] * 1000)
    client = Client(account, has=HAS)
    await client.login()
    await client.ask(b"a ENABLE QRESYNC\r\nb SELECT INBOX\r\n")
    box = account.boxes["INBOX"]
    for uid in list(box.entries)[1:]:
        box.remove(uid)
    assert await client.ask(b"c NOOP\r\n") == b"* VANISHED 2:1000\r\nc OK done\r\n"
