"""Generated histories of several sessions against a model of the mailboxes, over any face.

A player believes what it is told and nothing else. The model knows what each command must have
done. Whenever a player has asked what is new, the two are the same: numbers, uids, flags, modseqs.
A face needs CONDSTORE and QRESYNC.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import count, zip_longest
from typing import Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2email_protocol.imap.response import ResponseReader
from e2email_protocol.imap.response_types import (
    Code,
    Condition,
    Exists,
    Expunge,
    Fetch,
    Search,
    Tagged,
    Vanished,
)
from e2email_protocol.imap.sequence import normal, render_set

FOLDERS = ("A", "B")
PLAYERS = 3
KINDS = ("", "CONDSTORE", "QRESYNC")
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$work")
HOLDS = (b"FETCH", b"STORE", b"SEARCH")  # no number may change meanwhile (RFC 3501 §7.4.1)
LEAVES = (b"CLOSE", b"UNSELECT")  # what was held back is told no more
SEEN = frozenset({"\\Seen"})


class Line(Protocol):
    """A connection that has logged in; without a socket, so that all of it is deterministic."""

    async def ask(self, octets: bytes = b"") -> bytes: ...
    async def close(self) -> None: ...


class Face(Protocol):
    """One account, all of whose connections are new() ones."""

    async def new(self) -> Line: ...


# the model


@dataclass
class Message:
    flags: frozenset[str]
    modseq: int = 0  # the highest that was told of it
    changed: bool = True  # since that was told
    version: int = 0  # how often it was changed


@dataclass
class Folder:
    """What there is; uids ascend."""

    name: str
    uidvalidity: int = 0
    last: int = 0
    messages: dict[int, Message] = field(default_factory=dict)

    def add(self, uid: int, flags: frozenset[str]) -> None:
        assert uid > self.last, "a uid that is not above all earlier ones"
        self.last = uid
        self.messages[uid] = Message(flags)

    def set_flags(self, uid: int, flags: frozenset[str]) -> None:
        message = self.messages[uid]
        if flags != message.flags:
            message.flags, message.changed = flags, True
            message.version += 1

    def expunge(self, uids: set[int] | None = None) -> None:
        for uid, message in list(self.messages.items()):
            if "\\Deleted" in message.flags and (uids is None or uid in uids):
                del self.messages[uid]

    def told(self, uid: int, modseq: int) -> None:
        """Somebody was told of the state that it has now."""
        message = self.messages[uid]
        if message.changed:
            assert modseq > message.modseq, "a change without a higher modseq"
        else:
            assert modseq >= message.modseq, "a modseq went back"
        message.modseq, message.changed = modseq, False


# one session's knowledge


@dataclass
class Cache:
    """What a client of QRESYNC keeps of a folder while it is away."""

    uidvalidity: int = 0
    modseq: int = 0
    flags: dict[int, frozenset[str]] = field(default_factory=dict)


class Player:
    """`uids` by number; None: not told yet."""

    def __init__(self, face: Face, world: dict[str, Folder]):
        self.face = face
        self.world = world
        self.caches = {name: Cache() for name in world}
        self.line: Line | None = None
        self.kind = ""
        self.asked = False  # something, in this step
        self.curious = True  # new mail is looked at before the next command
        self._leave()

    def _leave(self) -> None:
        self.folder: Folder | None = None
        self.readonly = False
        self.idling = False
        self.uids: list[int | None] = []
        self.flags: dict[int, frozenset[str]] = {}
        self.modseqs: dict[int, int] = {}
        self.versions: dict[int, int] = {}  # as of its last command, after which all was told
        self.pending = 0  # the highest MODSEQ of FETCH replies, not yet to be relied on

    @property
    def resyncs(self) -> bool:
        return self.kind == "QRESYNC"

    # the connection

    async def connect(self, kind: str) -> None:
        if self.line is not None:
            await self.line.close()
        self._leave()
        self.kind = kind
        self.reader = ResponseReader()
        self.line = await self.face.new()
        if kind:
            await self.ask(b"ENABLE " + kind.encode())

    async def drop(self, command: bytes) -> None:
        """It goes away before the answer arrives."""
        assert self.line is not None
        await self.line.ask(b"x " + command + b"\r\n")
        await self.line.close()
        self.line = None
        self._leave()

    async def ask(self, command: bytes) -> Tagged:
        assert self.line is not None
        (tagged,) = [
            response
            for response in self.hear(command, await self.line.ask(b"a " + command + b"\r\n"))
            if isinstance(response, Tagged)
        ]
        assert tagged.status in (b"OK", b"NO"), (command, tagged)
        if not command.startswith((*HOLDS, *LEAVES)):
            self._rely()
        return tagged

    def hear(self, command: bytes, octets: bytes) -> list:
        self.reader.feed(octets)
        heard = list(self.reader)
        assert self.reader.between_responses
        for response in heard:
            self._learn(command, response)
        self.asked = True
        self.note_versions()
        return heard

    def note_versions(self) -> None:
        """With CONDSTORE, every modseq that changed is told at the end of a command."""
        if self.folder is not None and self.kind:
            there = self.folder.messages
            self.versions = {uid: there[uid].version for uid in self.modseqs if uid in there}

    def _learn(self, command: bytes, response: object) -> None:
        match response:
            case Exists(number):
                assert number >= len(self.uids), "EXISTS may not shrink a mailbox"
                self.uids += [None] * (number - len(self.uids))
            case Expunge(number):
                assert not command.startswith(HOLDS)
                assert not self.resyncs, "EXPUNGE after ENABLE QRESYNC"
                self._forget(self.uids.pop(number - 1))
            case Vanished(earlier, uids):
                assert self.resyncs
                assert not command.startswith(HOLDS)
                self._vanish(earlier, uids)
            case Fetch():
                self._learn_message(response)
            case Tagged(code=Code() as code) | Condition(code=Code() as code):
                self._learn_code(code)

    def _vanish(self, earlier: bool, uids) -> None:
        for low, high in normal(uids, 0):
            for uid in range(low, high + 1):
                self._forget(uid)
                if not earlier:
                    del self.uids[self._place(uid)]

    def _place(self, uid: int) -> int:
        """Of a uid that may not have been told yet: then it is one of those without a uid."""
        if uid in self.uids:
            return self.uids.index(uid)
        below = [at for at, known in enumerate(self.uids) if known is not None and known < uid]
        return self.uids.index(None, max(below, default=-1) + 1)

    def _forget(self, uid: int | None) -> None:
        self.flags.pop(uid, None)
        self.modseqs.pop(uid, None)

    def _learn_message(self, fetch: Fetch) -> None:
        at = fetch.number - 1
        assert fetch.uid is not None or self.uids[at] is not None or fetch.flags is None
        if fetch.uid is not None:
            assert self.uids[at] in (None, fetch.uid), "a number changed its message"
            self.uids[at] = fetch.uid
        uid = self.uids[at]
        if uid is None:
            return
        if fetch.flags is not None:
            self.flags[uid] = fetch.flags - {"\\Recent"}
        if fetch.modseq is not None:
            self.pending = max(self.pending, fetch.modseq)
            self.modseqs[uid] = fetch.modseq

    def _learn_code(self, code: Code) -> None:
        if self.folder is None or not self.resyncs:
            return
        if code.name == b"HIGHESTMODSEQ":
            cache = self.caches[self.folder.name]
            cache.modseq = max(cache.modseq, int(code.arguments))

    def _rely(self) -> None:
        """Nothing is held back after this command: what was told is all up to there."""
        if self.resyncs and self.folder is not None:
            cache = self.caches[self.folder.name]
            cache.modseq = max(cache.modseq, self.pending)
            cache.flags = dict(self.flags)

    # mailboxes

    async def select(self, name: str, readonly: bool) -> None:
        self._leave()
        folder = self.folder = self.world[name]
        cache = self.caches[name]
        verb = b"EXAMINE " if readonly else b"SELECT "
        if not (self.resyncs and cache.modseq and cache.uidvalidity == folder.uidvalidity):
            cache.flags, cache.modseq = {}, 0
            tagged = await self.ask(verb + name.encode())
        else:
            tagged = await self._resync(verb, name, cache)
        assert tagged.status == b"OK"
        cache.uidvalidity = folder.uidvalidity
        self.readonly = readonly
        await self.settle()

    async def _resync(self, verb: bytes, name: str, cache: Cache) -> Tagged:
        """What the cache holds has no numbers until VANISHED (EARLIER) and EXISTS are known."""
        assert self.line is not None
        text = b"%d %d" % (cache.uidvalidity, cache.modseq)
        if cache.flags:
            text += b" " + render_set(cache.flags)
        self.flags = dict(cache.flags)
        command = verb + name.encode() + b" (QRESYNC (" + text + b"))"
        tagged = await self.ask(command)
        told = [uid for uid in self.uids if uid is not None]
        assert told == sorted(told)
        known = sorted(self.flags)
        assert known[: len(self.uids)] == known, "more in the cache than there is"
        for had, has in zip_longest(self.uids, known):
            assert had in (None, has), "a FETCH reply with another number"
        self.uids[: len(known)] = known
        return tagged

    async def settle(self) -> None:
        """Ask what is new, and for what is not known: then it must be as the model says."""
        folder = self.folder
        assert folder is not None
        await self.ask(b"NOOP")
        if None in self.uids:
            await self.ask(b"UID FETCH %d:* (FLAGS MODSEQ)" % (self.uids.index(None) or 1))
            await self.ask(b"UID FETCH 1:* (FLAGS)")
        assert self.uids == list(folder.messages), "not the messages that are there"
        for uid, message in folder.messages.items():
            if uid in self.flags:
                assert self.flags[uid] == message.flags
            if uid in self.modseqs:
                folder.told(uid, self.modseqs[uid])
        self._rely()

    # commands; the model is changed beside

    async def store(self, n: int, form: str, op: str, flag: str) -> None:
        folder, uid = self._message(n)
        if folder is None or uid is None:
            return
        target = b"UID STORE %d " % uid if form == "uid" else b"STORE %d " % n
        silent = form == "silent"
        words = b"%bFLAGS%b (%b)" % (op.encode(), b".SILENT" if silent else b"", flag.encode())
        before = self.flags.get(uid)
        tagged = await self.ask(target + words)
        if self.readonly:
            assert tagged.status == b"NO"
            return
        if uid in folder.messages:
            folder.set_flags(uid, changed(folder.messages[uid].flags, op, flag))
            assert tagged.status == b"OK"
        else:
            assert (tagged.status == b"NO") == (form != "uid"), "a number of a message that is gone"
        if silent and before is not None and self.flags.get(uid) == before:
            self.flags[uid] = changed(before, op, flag)  # a client goes by what it asked for

    async def store_if(self, n: int, op: str, flag: str) -> None:
        """UNCHANGEDSINCE what was told: refused exactly when somebody changed it since."""
        folder, uid = self._message(n)
        known = self.modseqs.get(uid or 0)
        if folder is None or uid not in self.versions or known is None or self.readonly:
            return
        version = self.versions[uid]
        words = b"(UNCHANGEDSINCE %d) %bFLAGS (%b)" % (known, op.encode(), flag.encode())
        tagged = await self.ask(b"UID STORE %d %b" % (uid, words))
        message = folder.messages.get(uid)
        if message is None:
            return
        modified = tagged.code is not None and tagged.code.name == b"MODIFIED"
        assert modified == (message.version != version)
        if not modified:
            folder.set_flags(uid, changed(message.flags, op, flag))

    async def read(self, n: int) -> None:
        folder, uid = self._message(n)
        if folder is None or uid is None or uid not in self.flags:
            return
        unread = (
            "\\Seen" not in self.flags[uid]
        )  # if another took it away, this reader may not know
        await self.ask(b"FETCH %d (UID BODY[TEXT])" % n)
        if uid in folder.messages and unread and not self.readonly:
            folder.set_flags(uid, folder.messages[uid].flags | SEEN)

    async def append(self, name: str, flag: str) -> None:
        tagged = await self.ask(b"APPEND %b (%b) {5+}\r\na: b\n" % (name.encode(), flag.encode()))
        uidvalidity, uid = map(int, code_of(tagged, b"APPENDUID").split())
        folder = self.world[name]
        assert uidvalidity == folder.uidvalidity
        folder.add(uid, frozenset({flag}))

    async def transfer(self, n: int, name: str, move: bool) -> None:
        folder, uid = self._message(n)
        if folder is None or uid is None or (move and self.readonly):
            return
        was = folder.messages.get(uid)
        moved = self.line is not None and await self.ask_codes(
            b"%b %d %b" % (b"MOVE" if move else b"COPY", n, name.encode())
        )
        if was is None:
            assert not moved, "a copy of a message that is gone"
            return
        assert moved
        _, source, made = moved.split()
        assert int(source) == uid
        if move:
            del folder.messages[uid]
        self.world[name].add(int(made), was.flags)

    async def ask_codes(self, command: bytes) -> bytes:
        """COPYUID, tagged or not; b"": none."""
        assert self.line is not None
        heard = self.hear(command, await self.line.ask(b"a " + command + b"\r\n"))
        self._rely()
        codes = [one.code for one in heard if isinstance(one, Tagged | Condition) and one.code]
        return next((code.arguments for code in codes if code.name == b"COPYUID"), b"")

    async def expunge(self, n: int | None) -> None:
        folder = self.folder
        if folder is None or self.readonly:
            return
        if n is None:
            await self.ask(b"EXPUNGE")
            folder.expunge()
        elif (uid := self._message(n)[1]) is not None:
            await self.ask(b"UID EXPUNGE %d" % uid)
            folder.expunge({uid})

    async def close(self, expunges: bool) -> None:
        folder, readonly = self.folder, self.readonly
        if folder is None:
            return
        await self.ask(b"CLOSE" if expunges else b"UNSELECT")
        if expunges and not readonly:
            folder.expunge()
        self._leave()

    async def lose_interest(self) -> None:
        self.curious = not self.curious

    async def search(self) -> None:
        if self.folder is None or self.line is None:
            return
        total = len(self.uids)
        heard = self.hear(b"SEARCH", await self.line.ask(b"a SEARCH ALL\r\n"))
        (found,) = [response for response in heard if isinstance(response, Search)]
        assert list(found.numbers) == list(range(1, total + 1))

    async def idle(self) -> None:
        if self.line is not None and not self.idling:
            self.hear(b"IDLE", await self.line.ask(b"a IDLE\r\n"))
            self.idling = True

    async def look_up(self) -> None:
        """What IDLE brings; then DONE."""
        if self.idling and self.line is not None:
            self.hear(b"IDLE", await self.line.ask())
            heard = self.hear(b"IDLE", await self.line.ask(b"DONE\r\n"))
            assert isinstance(heard[-1], Tagged)
            self._rely()
            self.idling = False

    def _message(self, n: int) -> tuple[Folder | None, int | None]:
        """The n-th as this player counts."""
        if self.folder is None or n > len(self.uids):
            return None, None
        return self.folder, self.uids[n - 1]


def changed(flags: frozenset[str], op: str, flag: str) -> frozenset[str]:
    return {"+": flags | {flag}, "-": flags - {flag}}.get(op, frozenset({flag}))


def code_of(tagged: Tagged, name: bytes) -> bytes:
    assert tagged.code is not None, tagged
    assert tagged.code.name == name
    return tagged.code.arguments


# histories

NUMBER = st.integers(1, 4)
FLAG = st.sampled_from(FLAGS)
OP = st.sampled_from(["+", "-", ""])
FOLDER = st.sampled_from(FOLDERS)
STEPS = st.one_of(
    st.tuples(st.just("store"), NUMBER, st.sampled_from(["", "uid", "silent"]), OP, FLAG),
    st.tuples(st.just("store_if"), NUMBER, OP, FLAG),
    st.tuples(st.just("append"), FOLDER, FLAG),
    st.tuples(st.just("transfer"), NUMBER, FOLDER, st.booleans()),
    st.tuples(st.just("expunge"), st.none() | NUMBER),
    st.tuples(st.just("read"), NUMBER),
    st.tuples(st.sampled_from(["search", "settle", "idle", "lose_interest"])),
    st.tuples(st.just("select"), FOLDER, st.sampled_from([False, False, True])),
    st.tuples(st.just("close"), st.booleans()),
    st.tuples(st.just("connect"), st.sampled_from(KINDS)),
    st.tuples(st.just("drop"), st.sampled_from([b"NOOP", b"IDLE", b"SEARCH ALL"])),
)
HISTORIES = st.lists(st.tuples(st.integers(0, PLAYERS - 1), STEPS), min_size=10, max_size=60)


async def step(player: Player, what: tuple) -> None:
    name, *rest = what
    if player.line is None and name != "connect":
        await player.connect(player.kind)
    await player.look_up()
    if player.folder is None and name not in ("connect", "select", "close"):
        await player.select(next(iter(player.world)), readonly=False)
    if None in player.uids and player.curious:
        await player.ask(b"UID FETCH 1:* (FLAGS MODSEQ)")
    player.asked = False
    await getattr(player, name)(*rest)
    if player.asked:  # now that the model has changed, too
        player.note_versions()


async def play(face: Face, names: dict[str, str], history: list) -> None:
    """`names`: the folders' names for this history; they are made, and deleted at the end."""
    world = {name: Folder(name) for name in names.values()}
    line = await face.new()
    for name, folder in world.items():
        said = await line.ask(
            b"c CREATE %b\r\nd STATUS %b (UIDVALIDITY UIDNEXT)\r\n" % ((name.encode(),) * 2)
        )
        assert b"d OK" in said, said
        folder.uidvalidity = int(said.split(b"UIDVALIDITY ")[1].split()[0].rstrip(b")"))
    players = [Player(face, world) for _ in range(PLAYERS)]
    for player, kind in zip(players, KINDS, strict=True):
        await player.connect(kind)
        await player.append(names["A"], "$work")
        await player.append(names["A"], "\\Deleted")
    for player in players:
        await player.select(names["A"], readonly=False)
    for which, (verb, *rest) in history:
        mapped = [names.get(word, word) if isinstance(word, str) else word for word in rest]
        await step(players[which], (verb, *mapped))
    for player in players:
        await player.look_up()
        if player.line is not None and player.folder is not None:
            await player.settle()
        await player.connect("QRESYNC")
        await player.select(names["A"], readonly=True)
        await player.select(names["B"], readonly=True)
        assert player.line is not None
        await player.line.close()
    await line.ask(b"".join(b"e DELETE %b\r\n" % name.encode() for name in world))
    await line.close()


def check(opening: AbstractAsyncContextManager[Face], examples: int) -> None:
    """Run generated histories over one face."""
    with asyncio.Runner() as runner:
        face = runner.run(opening.__aenter__())
        numbers = count()
        try:

            @settings(
                max_examples=examples,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )
            @given(HISTORIES)
            def history_is_told(history: list) -> None:
                number = next(numbers)
                names = {name: f"{name}{number}" for name in FOLDERS}
                runner.run(play(face, names, history))

            history_is_told()
        finally:
            runner.run(opening.__aexit__(None, None, None))
