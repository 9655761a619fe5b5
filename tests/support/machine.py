"""A machine with one account and a server in memory, for the commands of the client."""

import asyncio
import io
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2email_client import config, entry, fetching
from e2email_client.account import Wish, create
from e2email_client.cli._options import Access
from e2email_client.failure import Offline
from e2email_client.local.contents import Skeleton
from e2email_client.main import e2email
from e2email_client.passphrase import Source
from e2email_client.paths import Home
from e2email_client.unlock import Unlocked, unlock
from e2email_client.upstream import News, RemoteMailbox, RemoteState
from e2email_crypto import statement
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.gate import recipient
from e2email_protocol.sealed.record import Policy, Record
from e2email_protocol.sealed.render import envelope_field, render
from support import sealing
from support.account_server import ALICE, PARAMS, PASSPHRASE, account_server

NOBODY_LISTENS = 1  # port of tcpmux
ARRIVED = 1_795_334_400


@dataclass
class Stored:
    """One message in a mailbox of the server in memory."""

    uid: int
    email_id: str
    envelope: bytes
    octets: bytes
    flags: frozenset[str] = frozenset()


@dataclass
class Box:
    uidvalidity: int = 7
    stored: list[Stored] = field(default_factory=list)
    uidnext: int = 1


class FakeRemote:
    """Answers as upstream.Remote does. `asked` lists the commands; `fail` is raised by each."""

    def __init__(self) -> None:
        self.boxes = {"INBOX": Box(), "Archive": Box()}
        self.selected: str | None = None
        self.asked: list[str] = []
        self.fail: Exception | None = None
        self.before_bodies = lambda: None

    def close(self) -> None:
        self.selected = None

    def _ask(self, command: str) -> Box:
        self.asked.append(command)
        if self.fail:
            raise self.fail
        return self.boxes[self.selected] if self.selected else Box()

    async def mailboxes(self) -> list[RemoteMailbox]:
        self._ask("LIST")
        return [RemoteMailbox(name, None, True) for name in self.boxes]

    resyncs = False

    def news(self) -> News:
        return News()

    async def noop(self) -> None:
        self._ask("NOOP")

    async def select(self, name: str, since: object = None) -> RemoteState:
        self._ask("SELECT")
        self.selected = name
        return await self.status(name)

    async def status(self, name: str) -> RemoteState:
        self._ask("STATUS")
        box = self.boxes[name]
        return RemoteState(box.uidvalidity, box.uidnext, len(box.stored), 0)

    async def skeletons(self, first: int) -> AsyncIterator[list[Skeleton]]:
        box = self._ask("SKELETONS")
        found = [one for one in box.stored if one.uid >= first]
        if found:
            yield [Skeleton(one.uid, one.email_id, one.flags, ARRIVED + one.uid) for one in found]

    async def flags(self, first: int, last: int) -> list[tuple[int, frozenset[str]]]:
        return [(s.uid, s.flags) for s in self._ask("FLAGS").stored if first <= s.uid <= last]

    async def envelopes(self, uids: Sequence[int]) -> list[tuple[int, bytes]]:
        return [(s.uid, s.envelope) for s in self._ask("ENVELOPES").stored if s.uid in set(uids)]

    async def bodies(self, uids: Sequence[int]) -> list[tuple[int, bytes]]:
        self.before_bodies()
        await asyncio.sleep(0)
        return [(s.uid, s.octets) for s in self._ask("BODIES").stored if s.uid in set(uids)]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


class Machine:
    """`run` is the program; what it needs of the network is `remote`."""

    def __init__(self, home: Path, arrival: ArrivalKey) -> None:
        self.home = home
        self.arrival = arrival
        self.passphrase = home.parent / "passphrase"
        self.passphrase.write_text(PASSPHRASE + "\n")
        self.unlocked: Unlocked = unlock(
            Home(home).account(ALICE), Source(file=self.passphrase), None
        )
        identity = self.unlocked.vault.identities[0]
        self.recipient = recipient(identity.certificate, int(time.time()))
        self.remote = FakeRemote()
        self._count = 0

    def record(self, mail: bytes, policy: Policy = Policy.SEALED) -> Record:
        self._count += 1
        sealer = sealing.RealSealer(self.recipient, self.arrival)
        record_id = self._count.to_bytes(16, "big")
        return sealing.composed(mail, sealer, policy=policy, record_id=record_id)

    def put(self, record: Record, mailbox: str = "INBOX", *flags: str) -> int:
        """The UID of what lies on the server now."""
        whole = render(record)
        octets = whole.read(0, whole.size)
        email_id = "E" + record.record_id.hex()
        return self.put_octets(octets, mailbox, envelope_field(record), email_id, *flags)

    def put_octets(
        self, octets: bytes, mailbox: str, envelope: bytes, email_id: str, *flags: str
    ) -> int:
        box = self.remote.boxes.setdefault(mailbox, Box())
        box.stored.append(Stored(box.uidnext, email_id, envelope, octets, frozenset(flags)))
        box.uidnext += 1
        return box.uidnext - 1

    def deliver(self, *mails: bytes, mailbox: str = "INBOX") -> list[int]:
        return [self.put(self.record(mail), mailbox) for mail in mails]

    def deliver_unreadable(self) -> tuple[int, bytes]:
        """(UID, what the server holds): something that no key of this account opens."""
        octets = b"From: x\r\n\r\nno record\r\n"
        self._count += 1
        email_id = "E" + self._count.to_bytes(16, "big").hex()
        return self.put_octets(octets, "INBOX", b"", email_id), octets

    def run(self, *arguments: str, terminal: bool = False) -> Done:
        """A command in this process; its passphrase is known already."""
        home = ["--home", str(self.home)]
        with _streams(terminal) as (out, err):
            try:
                entry.run("e2email", e2email, [*arguments, *home])
            except SystemExit as end:
                code = end.code
        assert isinstance(code, int)
        return Done(code, out.getvalue(), err.getvalue().decode())

    def patch(self, monkeypatch) -> None:
        async def connect(_unlocked):
            if isinstance(self.remote.fail, Offline):
                raise self.remote.fail
            return self.remote, None

        monkeypatch.setattr(Access, "unlock", lambda _: self.unlocked)
        monkeypatch.setattr(fetching, "connect", connect)


class _Stream(io.TextIOWrapper):
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@contextmanager
def _streams(terminal: bool):
    kept = sys.stdout, sys.stderr
    raw = io.BytesIO(), io.BytesIO()
    sys.stdout, sys.stderr = (
        _Stream(one, encoding="utf-8", write_through=True, newline="") for one in raw
    )
    sys.stdout.terminal = sys.stderr.terminal = terminal
    try:
        yield raw
    finally:
        # the wrappers would close what is still to be read
        sys.stdout.detach()
        sys.stderr.detach()
        sys.stdout, sys.stderr = kept


async def make_account(home: Path) -> ArrivalKey:
    """alice, set up in `home` by a server that is gone afterwards."""
    async with account_server() as running:
        invite = await running.accounts.invite(ALICE)
        wish = Wish(Home(home), ALICE, running.server, "laptop", PASSPHRASE, None)
        await asyncio.to_thread(
            create, wish, invite, "Alice", statement.Policy.SEALED, int(time.time()), PARAMS
        )
        paths = Home(home).account(ALICE)
        config.save(paths, replace(config.load(paths), imaps_port=NOBODY_LISTENS))
        return running.arrival
