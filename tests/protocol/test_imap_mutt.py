"""Mutt with QRESYNC and its header cache: what it asks the second time, and what it then knows."""

import asyncio
import os
import pty
import shutil

import pytest

from e2email_protocol.imap.connection import Connection
from e2email_protocol.imap.context import Settings
from e2email_protocol.serve import Face, Limits, listen
from support.imap import Account, MemorySession, Stored

pytestmark = pytest.mark.skipif(shutil.which("mutt") is None, reason="mutt is not installed")

HAS = frozenset({b"CONDSTORE", b"QRESYNC"})
MAIL = b"From: a@x.test\r\nSubject: %d\r\nDate: Tue, 3 Nov 2026 12:30:05 +0000\r\n\r\nbody\r\n"
SETTINGS = """\
set imap_user="alice@example.test" imap_pass="secret" imap_authenticators="login"
set ssl_starttls=no ssl_force_tls=no
set imap_condstore=yes imap_qresync=yes header_cache="{home}/cache" folder="{home}"
set sort=mailbox-order quit=yes delete=yes move=no
"""
PATIENCE = 60  # seconds until a mutt that asks something is given up


class Listening(Connection):
    """Notes what is said on both sides."""

    heard = b""
    said = b""

    def receive_data(self, data: bytes) -> None:
        self.heard += data
        super().receive_data(data)

    async def replies(self):
        async for octets in super().replies():
            self.said += octets
            yield octets


async def mutt(home, port: int, keys: str) -> None:
    """Run it in a terminal of its own until it has done what the keys say."""
    ours, theirs = pty.openpty()
    words = ["mutt", "-n", "-F", str(home / "rc"), "-e", f'push "{keys}"']
    environment = {**os.environ, "HOME": str(home), "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        *words, "-f", f"imap://127.0.0.1:{port}/INBOX",
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    loop = asyncio.get_running_loop()
    screen: list[bytes] = []

    def read() -> None:
        try:
            screen.append(os.read(ours, 65536))
        except OSError:  # the terminal of a process that has ended
            loop.remove_reader(ours)

    loop.add_reader(ours, read)
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"mutt waits: {b''.join(screen)[-1000:]!r}")
    finally:
        loop.remove_reader(ours)
        os.close(ours)


async def test_mutt_catches_up(tmp_path):
    account = Account(*[MAIL % n for n in range(8)])
    box = account.boxes["INBOX"]
    lines: list[Listening] = []

    def engine(peer):
        session = MemorySession(account, has=HAS)
        lines.append(
            Listening(session, Settings(clear_login=True), tls=False, report=lambda error: None)
        )
        return lines[-1]

    face = Face(engine, b"* BYE\r\n", lambda error: None, lambda: None, implicit=False)
    listener = await listen(face, "127.0.0.1", 0, Limits())
    (tmp_path / "rc").write_text(SETTINGS.format(home=tmp_path))
    (tmp_path / "cache").mkdir()
    try:
        await mutt(tmp_path, listener.port, "<quit>")
        assert b"ENABLE QRESYNC" in lines[0].heard
        box.remove(3)
        box.set_flags(5, frozenset({"Old", "\\Flagged"}))
        box.add(Stored(MAIL % 9))

        await mutt(tmp_path, listener.port, "<quit>")
        assert b"VANISHED)" in lines[1].heard
        assert b"* VANISHED (EARLIER) 3\r\n" in lines[1].said
        assert lines[1].said.count(b"BODY[HEADER") == 1  # the new one only

        await mutt(tmp_path, listener.port, "<last-entry><delete-message><quit>")
        assert list(box.entries) == [1, 2, 4, 5, 6, 7, 8]
    finally:
        await listener.close(grace=1)
