"""Every command as a transcript (tests/vectors/imap), whole and cut at any point.

X: is what another session does meanwhile; `# setup:` names what there is before the first line.
`python -m protocol.test_imap_transcripts` (in tests/) writes the S: lines anew: read the diff.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from e2email_protocol.imap import errors
from e2email_protocol.imap.commands import PARSE
from e2email_protocol.imap.context import Settings
from support.imap import MAIL, WHEN, Account, Box, Client, Stored
from support.transcript import at_random, options, read, single, turns, whole

FOLDER = Path(__file__).parent.parent / "vectors" / "imap"
FILES = sorted(FOLDER.glob("*.txt"))


class Play:
    """One transcript with its account; `cut` splits what the client sends."""

    def __init__(self, lines: list[str], cut):
        given = options(lines)
        self.account = Account(*[MAIL] * int(given.get("mails", 0)))
        for box in filter(None, given.get("boxes", "").split(",")):
            name, _, use = box.partition(":")
            self.account.boxes[name] = Box(uidvalidity=7, special_use=use or None)
        clock = (lambda: WHEN.timestamp() + int(given["clock"])) if "clock" in given else None
        settings = Settings(starttls="clear" in given, clock=clock)
        has = frozenset(filter(None, given.get("has", "").encode().split(b",")))
        self.client = Client(self.account, settings, tls="clear" not in given, has=has)
        self.options = given
        self.cut = cut

    async def begin(self) -> None:
        if "no-login" not in self.options:
            await self.client.login()
        if "select" in self.options:
            await self.client.ask(b"s SELECT INBOX\r\n")

    async def step(self, turn) -> bytes:
        if turn.action:
            self.other(turn.action)
            return await self.client.ask()
        return b"".join([await self.client.ask(piece) for piece in self.cut(turn.octets)])

    def other(self, words: list[str]) -> None:
        box = self.account.boxes["INBOX"]
        match words:
            case ["connect"]:
                pass
            case ["add"]:
                box.add(Stored(MAIL))
            case ["flags", uid, *flags]:
                box.set_flags(int(uid), frozenset(flags))
            case ["unsaved", uid]:
                box.stored[int(uid)].saved = None
            case ["expunge", uid]:
                box.remove(int(uid))
            case ["forget"]:
                box.forget()
            case ["drop"]:
                box.deleted = True
            case ["fail", method, name]:
                kinds = {**vars(errors), "RuntimeError": RuntimeError, "KeyError": KeyError}
                self.client.session.fail = {method: kinds[name]("inner secret")}
            case _:
                raise ValueError(words)


async def check(lines: list[str], cut) -> None:
    show = Play(lines, cut)
    await show.begin()
    for turn in turns(lines):
        said = await show.step(turn)
        assert b"inner secret" not in said
        assert said.split(b"\r\n") == turn.expected.split(b"\r\n"), turn.octets


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript(path):
    await check(read(path), whole)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_cutting_the_input_changes_nothing(path):
    lines = read(path)
    if not any(line.startswith("P:") for line in lines):
        await check(lines, single)
    for seed in range(50):
        await check(lines, at_random(seed))


def test_every_command_has_a_transcript():
    text = "\n".join(line for path in FILES for line in read(path)).upper()
    missing = [verb for verb in PARSE if f" {verb.decode()}" not in text]
    assert missing == []


async def rewrite(path: Path) -> None:
    lines = [line for line in read(path) if not line.startswith("S:")]
    show = Play(lines, whole)
    await show.begin()
    out = []
    for line in lines:
        out.append(line)
        for turn in turns([line]):
            said = (await show.step(turn)).decode()
            out += [f"S: {x}" for x in said.removesuffix("\r\n").split("\r\n")] if said else []
    path.write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        asyncio.run(rewrite(Path(name)))
