"""Two sessions on one mailbox against a client that only counts: numbers, uids, flags, expunges."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from e2email_protocol.imap.response import ResponseReader
from e2email_protocol.imap.response_types import Exists, Expunge, Fetch, Search, Tagged
from support.imap import MAIL, Account, Client

FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$work")


class Counting:
    """A mail program: it believes what it is told, and nothing else."""

    def __init__(self, account: Account):
        self.client = Client(account)
        self.box = account.boxes["INBOX"]
        self.reader = ResponseReader()
        self.uids: list[int | None] = []
        self.flags: dict[int, frozenset[str]] = {}

    async def open(self) -> None:
        self.hear(b"", await self.client.select())
        await self.ask(b"FETCH 1:* (UID FLAGS)")

    async def ask(self, command: bytes) -> list:
        return self.hear(command, await self.client.ask(b"a " + command + b"\r\n"))

    def hear(self, command: bytes, octets: bytes) -> list:
        self.reader.feed(octets)
        heard = list(self.reader)
        assert self.reader.between_responses
        for response in heard:
            match response:
                case Exists(count):
                    assert count >= len(self.uids), "EXISTS may not shrink a mailbox"
                    self.uids += [None] * (count - len(self.uids))
                case Expunge(number):
                    assert not command.startswith((b"FETCH", b"STORE", b"SEARCH"))
                    del self.uids[number - 1]
                case Fetch(number):
                    self.learn(response)
                case Tagged(_, status):
                    assert status != b"BAD", command
        return heard

    def learn(self, fetch: Fetch) -> None:
        at = fetch.number - 1
        if fetch.uid is not None:
            assert self.uids[at] in (None, fetch.uid), "a number changed its message"
            self.uids[at] = fetch.uid
        if fetch.flags is not None and self.uids[at] is not None:
            self.flags[self.uids[at]] = fetch.flags - {"\\Recent"}

    def believe(self, number: int, op: bytes, flag: str) -> None:
        """After STORE .SILENT a client goes by what it asked for."""
        uid = self.uids[number - 1]
        known = self.flags.get(uid)
        if known is not None:
            self.flags[uid] = known | {flag} if op == b"+" else known - {flag}

    async def settle(self) -> None:
        """After a NOOP the client knows the truth, without asking for it."""
        await self.ask(b"NOOP")
        truth = self.box.entries
        assert len(self.uids) == len(truth)
        for uid, real in zip(self.uids, truth, strict=True):
            assert uid in (None, real)
            if uid is not None and uid in self.flags:
                assert self.flags[uid] == truth[uid].flags
        await self.ask(b"FETCH 1:* (UID FLAGS)")
        assert self.uids == list(truth)


number = st.integers(1, 6)
flag = st.sampled_from(FLAGS)
sign = st.sampled_from([b"+", b"-"])
steps = st.one_of(
    st.tuples(st.just("store"), number, sign, flag),
    st.tuples(st.just("silent"), number, sign, flag),
    st.tuples(st.just("uid store"), number, sign, flag),
    st.tuples(st.just("fetch"), number),
    st.tuples(st.just("body"), number),
    st.tuples(st.sampled_from(["search", "noop", "append", "expunge", "uid fetch", "settle"])),
    st.tuples(st.sampled_from(["copy", "move"]), number),
)


async def step(who: Counting, what: tuple) -> None:
    count = len(who.uids)
    if len(what) > 1 and what[1] > count and what[0] != "uid store":
        return
    match what:
        case ("store", n, op, name):
            await who.ask(b"STORE %d %bFLAGS (%b)" % (n, op, name.encode()))
        case ("silent", n, op, name):
            who.believe(n, op, name)
            await who.ask(b"STORE %d %bFLAGS.SILENT (%b)" % (n, op, name.encode()))
        case ("uid store", n, op, name):
            await who.ask(b"UID STORE %d %bFLAGS (%b)" % (n, op, name.encode()))
        case ("fetch", n):
            await who.ask(b"FETCH %d (FLAGS)" % n)
        case ("body", n):
            await who.ask(b"FETCH %d (UID BODY[TEXT])" % n)
        case ("search",):
            (found,) = [r for r in await who.ask(b"SEARCH ALL") if isinstance(r, Search)]
            assert len(found.numbers) == count
        case ("noop",):
            await who.ask(b"NOOP")
        case ("append",):
            await who.ask(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))
        case ("expunge",):
            await who.ask(b"EXPUNGE")
        case ("uid fetch",):
            await who.ask(b"UID FETCH 1:* (FLAGS)")
        case ("copy", n):
            await who.ask(b"COPY %d INBOX" % n)
        case ("move", n):
            await who.ask(b"MOVE %d INBOX" % n)
        case ("settle",):
            await who.settle()


async def run(script: list) -> None:
    account = Account(*[MAIL] * 4)
    sessions = [Counting(account), Counting(account)]
    for session in sessions:
        await session.open()
    for which, what in script:
        await step(sessions[which], what)
    for session in sessions:
        await session.settle()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), steps), max_size=30))
def test_two_sessions_never_lose_count(script):
    asyncio.run(run(script))
