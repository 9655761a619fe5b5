"""Plays SMTP transcripts (tests/server/dialogs/*.cmy) against a session, and what they deliver to.

The language is chasquid's, line by line; `#` begins a comment:

    limits message=100     settings of smtp/limits.py, before the first line of talk
    c -> EHLO there        send a line and CRLF
    c ~> "a\\r\\nb"        send exactly these octets (a Python literal)
    c <- 250 2.0.0 OK      the next line is this
    c <~ ^250              the next line matches
    c <... 250 HELP        read lines until this one
    c <- EOF               the server closed
    c tls                  STARTTLS handshake
    c eof                  close our half
    mail "a\\r\\nb"        the next mail delivered has this content
    mails 0                so many mails were delivered that no `mail` line has taken
"""

import ast
import asyncio
import contextlib
import ssl
from dataclasses import fields, replace
from pathlib import Path

from e2email_protocol.address import Address
from e2email_server.config import Endpoint
from e2email_server.smtp.delivery import Mail, Refusal
from e2email_server.smtp.limits import Limits
from e2email_server.smtp.server import SmtpServer, start_smtp

PATIENCE = 10.0  # seconds until a silent server fails a test


class FakeDelivery:
    """alice and bob are here; the rest is refused in every way there is."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.refuse: Refusal | None = None
        self.gate: asyncio.Event | None = None
        self.judge_gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def judge(self, recipient: Address) -> Refusal | None:
        if self.error is not None:
            raise self.error
        local, domain = recipient.key
        if domain not in ("example.test", ""):
            return Refusal.NOT_HERE
        known = {"alice": None, "bob": None, "postmaster": None, "jürgen": None}
        special = {"nokey": Refusal.NO_KEY, "revoked": Refusal.REVOKED}
        return (known | special).get(local, Refusal.UNKNOWN_USER)

    async def deliver(self, mail: Mail) -> Refusal | None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refuse is None:
            self.mails.append(mail)
        return self.refuse


class Peer:
    """The client's end, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(
        cls, server: SmtpServer, *, greeted: bool = False, source: str = "127.0.0.1"
    ) -> "Peer":
        where = server.endpoints[0]
        local = (source, 0)
        peer = cls(*await asyncio.open_connection(where.host, where.port, local_addr=local))
        if greeted:
            await peer.line()
            await peer.say("EHLO there")
            await peer.until("250 HELP")
        return peer

    async def say(self, text: str) -> None:
        await self.send(text.encode("utf-8", "surrogateescape") + b"\r\n")

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def line(self) -> str:
        """The next line; "EOF" at the end, however it came."""
        with contextlib.suppress(ConnectionError):
            line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            if line:
                return line.decode().removesuffix("\r\n")
        return "EOF"

    async def ask(self, text: str) -> str:
        await self.say(text)
        return await self.line()

    async def until(self, wanted: str) -> list[str]:
        lines = []
        while not lines or lines[-1] not in (wanted, "EOF"):
            lines.append(await self.line())
        assert lines[-1] == wanted, lines
        return lines

    async def tls(self, context: ssl.SSLContext) -> None:
        await self.writer.start_tls(context, server_hostname="localhost")

    async def mail(self, content: bytes, *recipients: str) -> str:
        """A whole transaction; the last reply."""
        recipients = recipients or ("alice@example.test",)
        commands = ["MAIL FROM:<s@sender.test>", *(f"RCPT TO:<{one}>" for one in recipients)]
        for command in [*commands, "DATA"]:
            reply = await self.ask(command)
            if reply[0] not in "23":
                return reply
        await self.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return await self.line()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(delivery, tls=None, **limits):
    """An SMTP server on a port of its own."""
    chosen = replace(Limits(), **limits)
    where = [Endpoint("127.0.0.1", 0)]
    server = await start_smtp(where, "mx.example.test", delivery, limits=chosen, tls=tls)
    try:
        yield server
    finally:
        await server.stop()


def parse_limits(words: list[str]) -> dict[str, float]:
    kinds = {field.name: field.type for field in fields(Limits)}
    pairs = (word.split("=") for word in words)
    return {name: (float(v) if kinds[name] is float else int(v)) for name, v in pairs}


async def play(script: Path, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    """Raises AssertionError with file and line where the server says something else."""
    lines = script.read_text().splitlines()
    limits: dict[str, float] = {}
    for line in lines:
        if line.startswith("limits "):
            limits |= parse_limits(line.split()[1:])
    delivery = FakeDelivery()
    async with serving(delivery, tls, **limits) as server:
        peer = await Peer.connect(server)
        for number, line in enumerate(lines, 1):
            try:
                await _step(line, peer, delivery, trust)
            except AssertionError as wrong:
                raise AssertionError(f"{script.name}:{number}: {line!r}: {wrong}") from None
        await peer.close()


async def _step(line: str, peer: Peer, delivery: FakeDelivery, trust: ssl.SSLContext) -> None:
    import re

    match line.split(" ", 2):
        case ["c", "->", text]:
            await peer.say(text)
        case ["c", "~>", text]:
            await peer.send(_octets(text))
        case ["c", "<-", text]:
            got = await peer.line()
            assert got == text, got
        case ["c", "<~", pattern]:
            got = await peer.line()
            assert re.search(pattern, got), got
        case ["c", "<...", text]:
            await peer.until(text)
        case ["c", "tls"]:
            await peer.tls(trust)
        case ["c", "eof"]:
            peer.writer.write_eof()
        case ["mails", count]:
            assert len(delivery.mails) == int(count), delivery.mails
        case ["mail", *text]:
            assert delivery.mails, "no mail"
            got_content = delivery.mails.pop(0).content
            assert got_content == _octets(" ".join(text)), got_content
        case [""] | ["limits", *_] | ["#", *_]:
            pass
        case _:
            raise AssertionError("not a line of this language")


def _octets(literal: str) -> bytes:
    return ast.literal_eval("b" + literal)
