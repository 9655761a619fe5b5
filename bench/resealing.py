"""Old mail sealed anew under another key, beside an export of the same mail in the same run.

    .venv/bin/python bench/resealing.py [--mails 1000] [--repeat 3]

Server and programs as anybody runs them, on loopback. `fetch` is the sealed form of each mail by
IMAP in batches of a hundred, which is the least that resealing has to do; `export` is the command
from start to end, which fetches nothing, since all is on the machine by then; `reseal` is what the
command says of itself.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import mails as seeded

from support import system

ADDRESS = "u0@example.test"
BATCH = 100


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def done(ran: system.Ran) -> system.Ran:
    if ran.code:
        raise SystemExit(ran.error)
    return ran


def fetch(house: system.Server, user: system.User, count: int) -> None:
    client = house.imap(user)
    client.select("INBOX", readonly=True)
    for first in range(1, count + 1, BATCH):
        client.fetch(f"{first}:{min(first + BATCH - 1, count)}", "(UID BODY.PEEK[])")
    client.logout()


def once(house: system.Server, user: system.User, count: int, folder: Path) -> dict[str, float]:
    done(user.e2email("key", "rotate"))
    user.sync()
    took = {
        "fetch": timed(lambda: fetch(house, user, count)),
        "export": timed(lambda: done(user.e2email("export", folder))),
    }
    resealed = done(user.e2email("reseal", "--json")).json
    if resealed["resealed"] != count:
        raise SystemExit(f"{resealed['resealed']} of {count} were sealed anew")
    return took | {"reseal": resealed["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=1_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    count, source = arguments.mails, seeded.Mails("4k")
    with tempfile.TemporaryDirectory(prefix="e2bench-") as name:
        folder = Path(name)
        with system.server(folder / "server") as house:
            user = house.user(ADDRESS, folder / "home")
            with house.smtp() as client:
                for number in range(count):
                    client.send(source.mail(number, ADDRESS), [ADDRESS])
            user.sync()
            runs = [
                once(house, user, count, folder / f"export{n}") for n in range(arguments.repeat)
            ]
    rates = {what: statistics.median(count / one[what] for one in runs) for what in runs[0]}
    print(f"{count} mails of 4 KB, median of {arguments.repeat}")
    print(f"{'':10}{'mails/s':>10}{'ratio of reseal to it':>24}")
    for what, rate in rates.items():
        print(f"{what:10}{rate:10.0f}{rates['reseal'] / rate:24.2f}")


if __name__ == "__main__":
    main()
