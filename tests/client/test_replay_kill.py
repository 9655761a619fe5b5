"""A replay that is killed at any step: what was promised is done once, and nothing twice."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from e2email_client.local import contents, mailboxes
from e2email_client.upstream import Remote
from e2email_client.upstream.wire import Wire
from e2email_protocol.sealed.render import render
from support.replaying import (
    BOX_AFTER,
    INBOX_AFTER,
    WHEN,
    Crash,
    Files,
    Steps,
    promise,
    replayed,
)
from support.sealed_face import NAME, House, client_tls, house

# Of a replay that nothing stops; the tests look that it is still so many.
STEPS = 26


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


async def connect(server: House, token: str) -> Remote:
    port = server.imaps.endpoints[0].port
    wire = Wire("127.0.0.1", port, NAME, client_tls(), lambda _: None)
    await wire.greet()
    await wire.run(f'LOGIN {server.resident.address} "{token}"'.encode())
    return Remote(wire)


class Begun:
    """Five mails in INBOX, two in Box, and promises about them on this machine."""

    def __init__(self, server: House, folder: Path, token: str, remote: Remote):
        self.server, self.folder, self.token, self.remote = server, folder, token, remote

    @classmethod
    async def make(cls, server: House, folder: Path) -> "Begun":
        await server.deliver(*(mail(number) for number in range(1, 6)))
        token = await server.password()
        remote = await connect(server, token)
        await remote.create("Box")
        for number in (7, 8):
            await remote.append("Box", mail(number), [], WHEN)
        record = render(await server.seal(mail(6)))
        files = Files(folder)
        await promise(files, remote, record.read(0, record.size))
        files.close()
        return cls(server, folder, token, remote)

    async def settle(self) -> None:
        """The next program that connects; then everything is as it was promised."""
        files = Files(self.folder)
        remote = await connect(self.server, self.token)
        await files.replay.run(remote)
        assert not files.journal.anything_pending()
        for name, expected in (("INBOX", INBOX_AFTER), ("Box", BOX_AFTER)):
            await remote.select(name)
            assert {u: set(f) for u, f in await remote.flags(1, 100)} == expected
            local = mailboxes.named(files.cache, name)
            shown = contents.server_flags(files.cache, local.id)
            assert {u: set(f) for u, f in shown.items()} == {
                uid: flags for uid, flags in expected.items() if uid != 6
            }
        files.close()
        for one in (remote, self.remote):
            one.close()


async def crash(begun: Begun, step: int, monkeypatch, *, after: bool) -> int:
    """How many steps were begun."""

    def end() -> None:
        raise Crash

    files = Files(begun.folder)
    remote = await connect(begun.server, begun.token)
    steps = Steps(step, end, after=after)
    with monkeypatch.context() as patch:
        try:
            await replayed(files, remote, steps, patch.setattr)
        except Crash:
            assert steps.count == step + 1
    remote.close()
    files.close()
    return steps.count


async def test_how_many_steps_there_are(tmp_path, monkeypatch):
    async with house() as server:
        begun = await Begun.make(server, tmp_path)
        assert await crash(begun, 1000, monkeypatch, after=False) == STEPS
        await begun.settle()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(STEPS))
async def test_a_crash_before_or_after_each_step(tmp_path, monkeypatch, step, after):
    async with house() as server:
        begun = await Begun.make(server, tmp_path)
        assert await crash(begun, step, monkeypatch, after=after) == step + 1
        await begun.settle()


async def test_two_crashes(tmp_path, monkeypatch):
    async with house() as server:
        begun = await Begun.make(server, tmp_path)
        for step in (3, 5, 2, 4):
            await crash(begun, step, monkeypatch, after=True)
        await begun.settle()


@pytest.mark.parametrize("step", range(0, STEPS, 2))
async def test_killed_for_real(tmp_path, step):
    async with house() as server:
        begun = await Begun.make(server, tmp_path)
        port = server.imaps.endpoints[0].port
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "support.replaying",
            *(str(port), begun.token, str(tmp_path), str(step)),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode == -signal.SIGKILL, said.decode()
        await begun.settle()
