"""Who sends mail and keeps book: what was tried, what got 250, and what is there in the end."""

import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from .system import Server, Smtp, User, without_ours

SMALL = 4 * 1024
LARGE = 300 * 1024  # above what lies in a row: a blob file


class Ledger:
    """Of mails to one user. May be shared by threads."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._dice = random.Random(seed)
        self._number = 0
        self.tried: Counter[bytes] = Counter()
        self.acknowledged: Counter[bytes] = Counter()
        self.replies: Counter[str] = Counter()

    def mail(self, size: int) -> bytes:
        """A new one, unlike any other, of `size` octets and some."""
        with self._lock:
            self._number += 1
            line = b"%d %032x line of a mail\r\n" % (self._number, self._dice.getrandbits(128))
            head = b"Subject: mail %d\r\nMessage-ID: <%d@example.net>\r\n\r\n"
            return head % (self._number, self._number) + line * (size // len(line))

    def send(self, client: Smtp, mail: bytes, to: str) -> str:
        """Send and note. OSError where the server is gone; an empty reply is none."""
        with self._lock:
            self.tried[mail] += 1
        reply = client.send(mail, [to])[-1]
        with self._lock:
            self.replies[reply[:3]] += 1
            self.acknowledged[mail] += reply.startswith("250")
        return reply

    def check(self, received: Iterable[bytes]) -> None:
        """Nothing lost, nothing twice but what was tried twice, nothing that nobody sent."""
        there = Counter(received)
        lost = self.acknowledged - there
        assert not lost, f"{lost.total()} of {self.acknowledged.total()} acknowledged mails lost"
        more = there - self.tried
        assert not more, f"{more.total()} mails more than were tried, or not as they were sent"

    @property
    def told(self) -> str:
        sent, kept = self.tried.total(), self.acknowledged.total()
        return f"{sent} tried, {kept} acknowledged, replies {dict(self.replies)}"


def received(user: User, folder: Path) -> list[bytes]:
    """All mail of the inbox as its owner gets it: synchronised, opened, exported."""
    told = user.sync()
    assert (told["unreadable"], told["alarms"]) == (0, 0)
    done = user.e2email("export", folder, "--mailbox", "INBOX")
    assert done.code == 0, done.error
    return [without_ours(path.read_bytes()) for path in (folder / "INBOX").glob("*.eml")]


def nothing_half_present(server: Server) -> None:
    """Each row that names a file has it, whole; each file has a row; the database is sound."""
    with sqlite3.connect(server.data / "mail.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        sizes = "SELECT name, body_size FROM body_files JOIN records ON records.id = body_files.id"
        named = dict(db.execute(sizes).fetchall())
        in_rows = "SELECT count(*) FROM bodies JOIN records USING (id) WHERE length(octets)"
        assert db.execute(f"{in_rows} <> body_size").fetchone() == (0,)
        bodies = "(SELECT id FROM bodies UNION ALL SELECT id FROM body_files)"
        without = f"SELECT count(*) FROM records WHERE id NOT IN {bodies}"
        assert db.execute(without).fetchone() == (0,)
    files = {path.name: path.stat().st_size for path in (server.data / "blobs").iterdir()}
    assert files == named
