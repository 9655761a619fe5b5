"""`make bench`: figures of this machine, beside Dovecot LMTP with mail-crypt in the same run.

    make bench ARGS="--quick"          a minute, to see whether something got slower
    make bench ARGS="--sizes 4k --connections 10 --repeat 3"

Each line is one workload: what e2email did, what the peer did, and the ratio. Rates move with what
else the machine does; CPU a mail is the steadier figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dovecot
import e2email
import meter

HERE = Path(__file__).resolve().parent
USERS = 50
COUNTS = {"4k": 2000, "50k": 400, "5m": 16}
ONE_CONNECTION = 4  # a share of COUNTS is enough where mails come one after another
# above the machine's limits for a mailbox connection nothing is learned about mail
MOST_CONNECTIONS_5M = 10


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that takes mail; `lmtp` is the dialect."""

    name: str
    pid: int
    port: int
    lmtp: bool


@dataclass(frozen=True, slots=True)
class Work:
    size: str
    connections: int
    one_user: bool = False

    def __str__(self) -> str:
        whom = "one mailbox" if self.one_user else f"{USERS} mailboxes"
        return f"{self.size:>3}, {self.connections:>2} connections, {whom}"


@dataclass(frozen=True, slots=True)
class Figures:
    mails_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    peak_mib: float


def measure(peer: Peer, work: Work, scale: float) -> Figures:
    count = int(COUNTS[work.size] * scale)
    if work.connections == 1:
        count //= ONE_CONNECTION
    count = max(count, work.connections, 4)
    command = [
        *(sys.executable, str(HERE / "load.py"), "--port", str(peer.port)),
        *("--count", str(count), "--size", work.size, "--users", str(USERS)),
        *("--connections", str(work.connections)),
        *(["--lmtp"] if peer.lmtp else []),
        *(["--one-user"] if work.one_user else []),
    ]
    before = meter.cpu_seconds(peer.pid)
    with meter.peak_memory(peer.pid) as peak:
        result = json.loads(subprocess.check_output(command))
    if result["refused"]:
        raise SystemExit(f"{peer.name} refused mail: {result['refused']}")
    cpu = (meter.cpu_seconds(peer.pid) - before) * 1e3 / result["accepted"]
    return Figures(result["mails_s"], result["p50_ms"], result["p99_ms"], cpu, peak[0])


def median(all_of: list[Figures]) -> Figures:
    def middle(name: str) -> float:
        return statistics.median(getattr(one, name) for one in all_of)

    return Figures(*(middle(name) for name in Figures.__slots__))


@contextmanager
def peers(folder: Path) -> Iterator[list[Peer]]:
    with ExitStack() as stack:
        pid, ports = stack.enter_context(e2email.running(folder / "e2email", USERS))
        found = [Peer("e2email", pid, ports["smtp"], lmtp=False)]
        if why := dovecot.missing():
            print(f"no peer: {why}")
        else:
            pid, lmtp, _ = stack.enter_context(
                dovecot.running(folder / "dovecot", USERS, crypt=True)
            )
            found.append(Peer("dovecot mail-crypt", pid, lmtp, lmtp=True))
        yield found


def works(arguments: argparse.Namespace) -> Iterator[Work]:
    for size in arguments.sizes.split(","):
        for connections in map(int, arguments.connections.split(",")):
            if size != "5m" or connections <= MOST_CONNECTIONS_5M:
                yield Work(size, connections)
    yield Work("4k", 10, one_user=True)


def report(work: Work, names: list[str], found: list[Figures]) -> None:
    print(f"\n{work}")
    print(f"{'':20}{'mails/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'CPU ms':>10}{'peak MiB':>10}")
    for name, one in zip(names, found, strict=True):
        print(
            f"{name:20}{one.mails_s:10.0f}{one.p50_ms:10.1f}{one.p99_ms:10.1f}"
            f"{one.cpu_ms:10.2f}{one.peak_mib:10.0f}"
        )
    if len(found) == 2:
        ours, theirs = found
        ratios = [getattr(ours, name) / getattr(theirs, name) for name in Figures.__slots__]
        print(f"{'ratio':20}" + "".join(f"{ratio:10.2f}" for ratio in ratios), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="4k,50k,5m")
    parser.add_argument("--connections", default="1,10,50")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="4 KB, 10 connections, once")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.connections, arguments.repeat = "4k", "10", 1
    with tempfile.TemporaryDirectory(prefix="e2bench-") as name, peers(Path(name)) as found:
        Path(name).chmod(0o755)  # Dovecot's own users pass through
        for work in works(arguments):
            figures: list[list[Figures]] = [[] for _ in found]
            for _ in range(arguments.repeat):
                for peer, collected in zip(found, figures, strict=True):
                    collected.append(measure(peer, work, scale=1.0))
            report(work, [peer.name for peer in found], [median(one) for one in figures])


if __name__ == "__main__":
    main()
