"""The engine's transcripts (tests/vectors/imap) at the proxy, over a real sealed face.

The same conversation must give the same answers, but for what the two worlds rightly call otherwise
(`_same`) and for transcripts of what is not the backend's (`_ELSEWHERE`).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from e2email_client.filling import Filling
from e2email_client.local import contents, mailboxes
from e2email_client.proxy.session import CAPABILITIES, ProxySession
from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.structure import structure
from support import home as home_module
from support.home import Home, Talk, eventually, home
from support.imap import MAIL, WHEN, Account, MemorySession
from support.sealed_face import house
from support.transcript import Turn, at_random, options, read, turns, whole

FOLDER = Path(__file__).parent.parent / "vectors" / "imap"

# Of what the memory backend has instead of the real thing, or of the engine and its listener alone.
_ELSEWHERE = {
    "browser": "a listener's answer to HTTP",
    "clear": "a listener without TLS",
    "multiappend": "not offered",
    "savedate": "not offered",
}
_PARENTS = "the levels above a mailbox are mailboxes"
# Answers of the memory backend's own, and what the proxy says in their place.
_OTHERWISE: dict[str, dict[str, str]] = {
    "append": {"b2": "times are kept in UTC"},
    "binary": {"a5": "without MIME-Version nothing is encoded", "a9": "the same"},
    "capability": {"a6": "the stub's APPENDLIMIT"},
    "condstore": {"d8": "checked before a number is read"},
    "fetch": {"b8": "the stub's parts"},
    "list": dict.fromkeys(("b2", "b3", "b4", "b9", "c4"), _PARENTS),
    "objectid": dict.fromkeys(("a3", "a8", "a9", "b1"), "the stub's APPENDLIMIT and EMAILIDs"),
    "preview": {"a2": "the stub's laziness", "a4": "the stub's laziness"},
    "qresync": {"c6": "a modseq between two that were told", "c8": "the same"},
    "rev2": {"c9": _PARENTS},
    "search": {"a7": "nothing is \\Recent", "a8": "nothing is \\Recent"},
    "sort": {"c3": "a modseq between two that were told"},
    "utf8": dict.fromkeys(("b4", "b5", "c2"), _PARENTS),
}
FILES = [path for path in sorted(FOLDER.glob("*.txt")) if path.stem not in _ELSEWHERE]

# What only the memory backend can be told to do: the rest of a transcript is its own.
_ENDS = (["drop"], ["fail"], ["forget"], ["unsaved"])

_ROOT = scan(MAIL)
_PREPARED = (
    (envelope(MAIL, 0, _ROOT.body), b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
    (structure(MAIL, _ROOT), b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 15 1)'),
    (structure(MAIL, _ROOT, extended=False), b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 15 1)'),
)
_MODSEQ = re.compile(rb"MODSEQ \(?(\d+)")
_VALIDITY = re.compile(rb"UIDVALIDITY (\d+)")
_ASKED_SINCE = re.compile(rb'((?:CHANGEDSINCE|MODSEQ(?: "[^"]*" \w+)?) )(\d+)')
_RESYNC = re.compile(rb"QRESYNC \((\d+) (\d+)")
_NAMED = (
    (rb" ?\$e2email-[a-z-]+", b""),  # the client's own keywords
    (rb" ?\\Recent", b""),  # nothing is, here
    (rb"\* \d+ RECENT\r\n", b""),
    (rb"RECENT \d+", b"RECENT n"),
    (rb"UIDVALIDITY \d+", b"UIDVALIDITY v"),
    (rb"(APPENDUID|COPYUID) \d+", rb"\1 v"),
    (rb"MODSEQ (\(?)\d+", rb"MODSEQ \1m"),
    (rb"(EMAILID|MAILBOXID) \(\w+\)", rb"\1 (i)"),
    (rb"CAPABILITY [^\r\]]*", b"CAPABILITY c"),
    (rb"\\(Noselect|NonExistent) ?", b""),  # a level above a mailbox exists, too
    (rb"\(\s+", b"("),
)


def _same(said: bytes) -> list[bytes]:
    for real, stub in _PREPARED:
        said = said.replace(real, stub)
    for pattern, name in _NAMED:
        said = re.sub(pattern, name, said)
    return said.split(b"\r\n")


class Numbers:
    """Which modseq and which UIDVALIDITY at the proxy stand for those of a transcript."""

    def __init__(self) -> None:
        self._modseqs: dict[int, int] = {}
        self._validities: dict[bytes, bytes] = {}

    def learn(self, expected: bytes, said: bytes) -> None:
        pairs = zip(_MODSEQ.findall(expected), _MODSEQ.findall(said), strict=False)
        self._modseqs |= {int(theirs): int(ours) for theirs, ours in pairs}
        validities = zip(_VALIDITY.findall(expected), _VALIDITY.findall(said), strict=False)
        self._validities |= dict(validities)

    def ours(self, command: bytes) -> bytes:
        command = _ASKED_SINCE.sub(self._modseq, command)
        return _RESYNC.sub(self._resync, command)

    def _modseq(self, match: re.Match[bytes]) -> bytes:
        return match[1] + self._since(int(match[2]))

    def _resync(self, match: re.Match[bytes]) -> bytes:
        validity = self._validities.get(match[1], match[1])
        return b"QRESYNC (%b %b" % (validity, self._since(int(match[2])))

    def _since(self, modseq: int) -> bytes:
        """Of one that was never told: the one that was told before it, or one from the future."""
        known = [one for one in self._modseqs if one <= modseq]
        if not known:
            return b"%d" % modseq
        return b"%d" % (self._modseqs[max(known)] + (modseq > max(self._modseqs)))


class Play:
    """One transcript; what another session does in it, another device does at the server."""

    def __init__(self, made: Home, lines: list[str], cut: Callable[[bytes], list[bytes]]) -> None:
        self._home = made
        self._options = options(lines)
        self._cut = cut
        self.numbers = Numbers()
        self._talk = Talk(made)
        named = frozenset(filter(None, self._options.get("has", "").encode().split(b",")))
        has = named | MemorySession(Account()).capabilities
        clock = None
        if "clock" in self._options:
            clock = lambda: WHEN.timestamp() + int(self._options["clock"])  # noqa: E731
        settings = Settings(
            starttls="clear" in self._options,
            hidden=(CAPABILITIES | {b"OBJECTID"}) - has,
            clock=clock,
        )
        session = ProxySession([made.account])
        self._talk.connection = Connection(
            session, settings, tls="clear" not in self._options, report=self._talk.reports.append
        )

    async def begin(self) -> None:
        remote = await self._home.remote()
        for one in await remote.mailboxes():
            if one.name != "INBOX":
                await remote.delete(one.name)
        for box in filter(None, self._options.get("boxes", "").split(",")):
            name, _, use = box.partition(":")
            await remote.create(name, use or None)
        self._boxes = len(await remote.mailboxes())
        count = int(self._options.get("mails", 0))
        for _ in range(count):
            await remote.append("INBOX", MAIL, (), WHEN)
        remote.close()

    async def ready(self) -> None:
        await self._home.shown(*range(1, int(self._options.get("mails", 0)) + 1))
        await eventually(self._all_is_here)
        if "no-login" not in self._options:
            await self._talk.ask()
            await self._talk.ok(b"LOGIN alice@example.test secret")
        if "select" in self._options:
            await self._talk.ok(b"SELECT INBOX")

    async def step(self, turn: Turn) -> bytes:
        if turn.action:
            await self._elsewhere(turn.action)
            return await self._talk.ask()
        command = self.numbers.ours(turn.octets)
        said = b"".join([await self._talk.ask(piece) for piece in self._cut(command)])
        self.numbers.learn(turn.expected, said)
        return said

    async def _elsewhere(self, words: list[str]) -> None:
        if words == ["connect"]:
            return
        remote = await self._home.remote()
        await remote.select("INBOX")
        match words:
            case ["add"]:
                _, uid = await remote.append("INBOX", MAIL, (), WHEN)
                await eventually(lambda: uid in self._home.uids())
            case ["flags", uid, *flags]:
                await remote.store([int(uid)], "FLAGS", flags)
                await eventually(lambda: self._flags(int(uid)) == set(flags))
            case ["expunge", uid]:
                await remote.store([int(uid)], "+FLAGS", ["\\Deleted"])
                await remote.expunge([int(uid)])
                await eventually(lambda: int(uid) not in self._home.uids())
            case _:
                raise ValueError(words)
        remote.close()

    def _all_is_here(self) -> bool:
        """No keyword rises any more, and every mailbox can be selected."""
        if not self._home.live.online:
            return False
        rows = self._home.cache.read("SELECT min(complete) FROM mailbox")
        opened = self._home.cache.read("SELECT coalesce(min(state), 2) FROM mail")
        count = len(mailboxes.every(self._home.cache))
        return rows[0][0] == 1 and opened[0][0] >= 2 and count == self._boxes

    def _flags(self, uid: int) -> frozenset[str] | None:
        found = contents.server_flags(self._home.cache, self._home.local().id)
        return found.get(uid)


async def nothing(*_: object) -> None:
    """In place of what opens all bodies in the background: modseqs would rise at any time."""


@asynccontextmanager
async def played(tmp_path, monkeypatch, lines, cut) -> AsyncIterator[Play]:
    monkeypatch.setattr(home_module, "PASSWORD", "secret")
    monkeypatch.setattr(Filling, "bodies", nothing)
    async with house() as server, home(server, tmp_path, monkeypatch, run=False) as made:
        play = Play(made, lines, cut)
        await play.begin()
        following = asyncio.create_task(made.live.run())
        try:
            await play.ready()
            yield play
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def check(tmp_path, monkeypatch, path, cut) -> None:
    """Every answer but the ones that rightly differ."""
    lines = read(path)
    differing = {}
    async with played(tmp_path, monkeypatch, lines, cut) as play:
        for turn in turns(lines):
            if turn.action[:1] in _ENDS:
                break
            said, expected = _same(await play.step(turn)), _same(turn.expected)
            if said != expected:
                differing[turn.octets.split(b" ")[0].decode()] = said, expected
    elsewhere = _OTHERWISE.get(path.stem, {})
    assert {tag: differing[tag] for tag in differing if tag not in elsewhere} == {}
    assert elsewhere.keys() <= differing.keys(), "nothing differs here any more"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript(path, tmp_path, monkeypatch) -> None:
    await check(tmp_path, monkeypatch, path, whole)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_cut_at_random_points(path, tmp_path, monkeypatch) -> None:
    await check(tmp_path, monkeypatch, path, at_random(len(path.stem)))
