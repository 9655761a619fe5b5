"""Every POP3 command as a transcript (tests/vectors/pop3), whole and cut at any point.

X: `connect`; `add`; `expunge UID` by another program; `hold` and `free` the mailbox; `stuck UID`
cannot be removed; `fail METHOD ERROR` of the backend; `secured`: TLS began; `gone`: the peer is.
`# setup:` is any of `mails=N`, `no-login`, `clear`.
`python -m protocol.test_pop3_transcripts` (in tests/) writes the S: lines anew: read the diff.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from e2email_protocol.pop3 import errors
from e2email_protocol.pop3.commands import RUN
from e2email_protocol.pop3.context import Settings
from support.pop3 import MAIL, Client, inbox
from support.transcript import at_random, options, read, single, turns, whole

FOLDER = Path(__file__).parent.parent / "vectors" / "pop3"
FILES = sorted(FOLDER.glob("*.txt"))


class Play:
    """One transcript with its inbox; `cut` splits what the client sends."""

    def __init__(self, lines: list[str], cut):
        given = options(lines)
        self.inbox = inbox(*[MAIL] * int(given.get("mails", 0)))
        settings = Settings(stls="clear" in given)
        self.client = Client(self.inbox, settings, tls="clear" not in given)
        self.greeted = "no-login" in given or "clear" in given
        self.cut = cut

    async def begin(self) -> None:
        if not self.greeted:
            await self.client.login()

    async def step(self, turn) -> bytes:
        if turn.action:
            await self.other(turn.action)
            return await self.client.ask()
        return b"".join([await self.client.ask(piece) for piece in self.cut(turn.octets)])

    async def other(self, words: list[str]) -> None:
        match words:
            case ["connect"]:
                pass
            case ["add"]:
                self.inbox.mails[max(self.inbox.mails, default=0) + 1] = MAIL
            case ["expunge", uid]:
                del self.inbox.mails[int(uid)]
            case ["hold"]:
                self.inbox.held = True
            case ["free"]:
                self.inbox.held = False
            case ["stuck", uid]:
                self.inbox.undeletable.add(int(uid))
            case ["left", *uids]:
                assert sorted(self.inbox.mails) == [int(uid) for uid in uids]
            case ["closed"]:
                assert self.client.connection.closing
                assert not self.inbox.held
            case ["fail", method, name]:
                kinds = {**vars(errors), "RuntimeError": RuntimeError}
                self.inbox.fail = {method: kinds[name]("inner secret")}
            case ["works"]:
                self.inbox.fail = {}
            case ["secured"]:
                assert self.client.connection.wants_tls
                self.client.connection.secured()
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
    await check(lines, single)
    for seed in range(50):
        await check(lines, at_random(seed))


def test_every_command_has_a_transcript():
    text = "\n".join(line for path in FILES for line in read(path)).upper()
    assert [verb for verb in RUN if f"C: {verb.decode()}" not in text] == []


async def rewrite(path: Path) -> None:
    lines = [line for line in read(path) if not line.startswith("S:")]
    show = Play(lines, whole)
    await show.begin()
    out: list[str] = []
    for line in lines:
        out.append(line)
        for turn in turns([line]):
            said = (await show.step(turn)).decode()
            out += [f"S: {x}" for x in said.removesuffix("\r\n").split("\r\n")] if said else []
    path.write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        asyncio.run(rewrite(Path(name)))
