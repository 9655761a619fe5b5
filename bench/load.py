"""SMTP or LMTP load in a process of its own; prints one JSON line.

    load.py --port 2525 --count 1000 --connections 10 --size 4k [--lmtp] [--users 50] [--one-user]

Each connection takes the next mail of the sequence, sends it pipelined and waits for the final
reply. Latency is from MAIL FROM to that reply. A refusal is counted, never retried.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from mails import SIZES, Mails


class Connection:
    async def open(self, port: int, verb: str) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        await self.reply()
        self.writer.write(f"{verb} bench.test\r\n".encode())
        await self.reply()

    async def reply(self) -> bytes:
        while True:
            line = await self.reader.readline()
            if not line:
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return line

    async def send(self, recipient: str, mail: bytes) -> bytes:
        self.writer.write(
            f"MAIL FROM:<s@sender.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()
        )
        replies = [await self.reply() for _ in range(3)]
        if replies[2][:1] != b"3":
            return next(line for line in replies if line[:1] in b"45")
        self.writer.write(mail)
        self.writer.write(b".\r\n")
        await self.writer.drain()
        return await self.reply()


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    source, numbers = Mails(arguments.size), iter(range(arguments.count))
    times: list[float] = []
    refused: dict[str, int] = {}

    async def work() -> None:
        connection = Connection()
        await connection.open(arguments.port, "LHLO" if arguments.lmtp else "EHLO")
        for number in numbers:
            recipient = (
                f"u{0 if arguments.one_user else number % arguments.users}@{arguments.domain}"
            )
            mail = source.mail(number, recipient)
            start = time.perf_counter()
            answer = await connection.send(recipient, mail)
            if answer[:1] == b"2":
                times.append(time.perf_counter() - start)
            else:
                text = answer.decode(errors="replace").strip()
                refused[text] = refused.get(text, 0) + 1
        connection.writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(arguments.connections)))
    wall = time.perf_counter() - start
    times.sort()
    return {
        "accepted": len(times),
        "refused": refused,
        "wall_s": wall,
        "mails_s": len(times) / wall,
        "p50_ms": times[len(times) // 2] * 1e3 if times else None,
        "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)] * 1e3 if times else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--size", choices=SIZES, default="4k")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--one-user", action="store_true")
    parser.add_argument("--domain", default="bench.test")
    parser.add_argument("--lmtp", action="store_true")
    print(json.dumps(asyncio.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
