"""What it costs to open mail and write it to the local store: CPU-ms a mail, by process.

    .venv/bin/python bench/opening.py [--mails 2000] [--size 4k]

No server and no network: records are sealed here and opened as the client opens them. CPU time
moves less than the clock with what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import mails as seeded
import meter

from e2email_client.local import cache, contents, mailboxes, mails, words
from e2email_client.local.contents import Skeleton
from e2email_client.opener import Keys
from e2email_client.opening import Opening
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import new_identity
from e2email_protocol.sealed.render import render
from support import sealing

BATCH = 200


def sealed(count: int, size: str) -> tuple[list[tuple[str, bytes]], Opening]:
    now = int(time.time())
    identity, arrival = new_identity(sealing.ACCOUNT, "", now), ArrivalKey.generate()
    owner = recipient(identity.cert, now)
    sealer, source = sealing.RealSealer(owner, arrival), seeded.Mails(size)
    made = []
    for number in range(count):
        mail = source.mail(number, sealing.ACCOUNT)
        record = sealing.composed(mail, sealer, record_id=number.to_bytes(16))
        whole = render(record)
        made.append(("E" + record.record_id.hex(), whole.read(0, whole.size)))
    keys = Keys(sealing.ACCOUNT, (owner.key_ids,), (arrival.public,))
    return made, Opening(keys, [identity.tsk])


def children(opening: Opening) -> tuple[float, float]:
    """CPU seconds of those with keys, and of those that parse."""
    keys = [one._child._process.pid for one in opening._pool._workers]
    parse = [one for one in meter.tree(os.getpid())[1:] if one not in keys]
    return sum(map(meter.cpu_seconds, keys)), sum(map(meter.cpu_seconds, parse))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=2_000)
    parser.add_argument("--size", choices=seeded.SIZES, default="4k")
    arguments = parser.parse_args()
    count = arguments.mails
    made, opening = sealed(count, arguments.size)
    opening.bodies(made[:BATCH])  # all processes run
    with tempfile.TemporaryDirectory(prefix="e2bench-") as folder:
        store = cache.open_cache(Path(folder) / "cache.db", bytes(32))
        box = mailboxes.put(store, "INBOX", 1, None, True)
        skeletons = [Skeleton(n, one, frozenset(), n) for n, (one, _) in enumerate(made, 1)]
        contents.add(store, box.id, skeletons)
        took = {"opening": 0.0, "writing": 0.0, "words": 0.0}
        before = children(opening)
        for at in range(0, count, BATCH):
            began = time.process_time()
            found = opening.bodies(made[at : at + BATCH])
            opened = time.process_time()
            mails.put_bodies(store, [(one, *what) for one, what in found])  # type: ignore[misc]
            took["opening"] += opened - began
            took["writing"] += time.process_time() - opened
        after = children(opening)
        began = time.process_time()
        words.index_all(store)
        took["words"] = time.process_time() - began
        store.close()
    opening.close()
    print(f"{count} mails of {arguments.size}, CPU-ms each")
    for what, seconds in took.items():
        print(f"  {what:28}{seconds / count * 1e3:8.3f}")
    for what, one, other in zip(("processes with keys", "parsing"), before, after, strict=True):
        print(f"  {what:28}{(other - one) / count * 1e3:8.3f}")


if __name__ == "__main__":
    main()
