"""One connection to a server that behaves badly: each fault has one defined end, none hangs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from e2email_client.failure import BadServer, Offline, Refused, WrongSecret
from e2email_client.upstream import Remote, connect
from e2email_client.upstream import wire as wire_module
from e2email_client.upstream.wire import Literal, Wire
from support.account_server import server_tls
from support.sealed_face import NAME, client_tls, house

GREETING = b"* OK ready\r\n"
Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def playing(
    play: Play, names: tuple[str, ...] = (NAME,), greeting: bytes = GREETING
) -> AsyncIterator[Wire]:
    """A connection to `play`, which is handed the other end after the greeting."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(greeting)
            await play(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_tls(*names))
    context = client_tls()
    context.check_hostname = True
    port = server.sockets[0].getsockname()[1]
    wire = Wire("127.0.0.1", port, NAME, context, lambda _: None)
    try:
        yield wire
    finally:
        wire.hang_up()
        server.close()


def answering(*answers: bytes) -> Play:
    """Each command is answered with the next of these; {tag} stands for its tag."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            tag = (await reader.readline()).split(b" ")[0]
            writer.write(answer.replace(b"{tag}", tag))
            await writer.drain()
        await reader.read()

    return play


async def test_a_command_and_its_replies() -> None:
    play = answering(b'* LIST () "/" x\r\n{tag} OK done\r\n', b"{tag} NO [ALREADYEXISTS] no\r\n")
    async with playing(play) as wire:
        await wire.greet()
        assert len((await wire.run(b"LIST")).untagged) == 1
        with pytest.raises(Refused) as refused:
            await wire.run(b"CREATE x")
        assert refused.value.code == "ALREADYEXISTS"


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"{tag} BAD what\r\n", BadServer),
        (b"* 1 FETCH (((((\r\n", BadServer),
        (b"\0\0\0\r\n", BadServer),
        (b"* 1 FETCH (BODY[] {99999999999}\r\n", BadServer),
        (b"* 1 FETCH (BODY[] {10}\r\nhal", Offline),
        (b"* STATUS x (UIDNEXT 9223372036854775808)\r\n", BadServer),
    ],
)
async def test_bad_answers(answer: bytes, fault: type[Exception]) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tag = (await reader.readline()).split(b" ")[0]
        writer.write(answer.replace(b"{tag}", tag))

    async with playing(play) as wire:
        await wire.greet()
        with pytest.raises(fault):
            await wire.run(b"FETCH 1 BODY[]")
        with pytest.raises((Offline, BadServer)):
            await wire.run(b"NOOP")


@pytest.mark.parametrize(
    "reply",
    [
        b"UID 4294967296 FLAGS ()",
        b"UID 4294967296 BODY[] {1}\r\nx",
        b"UID 4294967296 EMAILID (E) INTERNALDATE NIL",
        b"UID 1 MODSEQ (9223372036854775808) FLAGS ()",
    ],
)
async def test_numbers_that_are_none(reply: bytes) -> None:
    async with playing(answering(b"* 1 FETCH (" + reply + b")\r\n{tag} OK done\r\n")) as wire:
        await wire.greet()
        remote = Remote(wire)
        with pytest.raises(BadServer):
            await remote.noop()


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "SILENCE", 0.1)

    async def play(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with playing(play) as wire:
        await wire.greet()
        with pytest.raises(Offline):
            await wire.run(b"NOOP")
    async with playing(play) as wire:
        await wire.greet()
        with pytest.raises(Offline):
            await wire.idle_begin()


async def test_a_server_that_does_not_greet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "CONNECT", 0.2)

    async def play(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with playing(play, greeting=b"") as wire:
        with pytest.raises(Offline):
            await wire.greet()


async def test_signs_of_life_keep_a_slow_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "SILENCE", 0.4)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tag = (await reader.readline()).split(b" ")[0]
        for _ in range(8):
            writer.write(b"* OK still working\r\n")
            await asyncio.sleep(0.1)
        writer.write(tag + b" OK done\r\n")
        await reader.read()

    async with playing(play) as wire:
        await wire.greet()
        await wire.run(b"NOOP")


async def test_a_refusing_greeting_is_offline() -> None:
    async with playing(answering(), greeting=b"* BYE too many\r\n") as wire:
        with pytest.raises(Offline):
            await wire.greet()


async def test_a_certificate_for_another_name() -> None:
    async with playing(answering(), names=("other.example",)) as wire:
        with pytest.raises(BadServer, match="certificate"):
            await wire.greet()


async def test_nobody_listens() -> None:
    wire = Wire("127.0.0.1", 1, NAME, client_tls(), lambda _: None)
    with pytest.raises(Offline):
        await wire.greet()
    wire.hang_up()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"{tag} NO [UNAVAILABLE] later\r\n", Offline),
        (b"{tag} NO [SERVERBUG] internal error\r\n", Offline),
        (b"{tag} NO [AUTHENTICATIONFAILED] no\r\n", WrongSecret),
        (b"{tag} NO no\r\n", WrongSecret),
    ],
)
async def test_a_login_that_fails(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, fault: type[Exception]
) -> None:
    """Only a server that looked at the token says that it is wrong."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        for _ in range(2):
            await reader.readline()
        writer.write(answer.replace(b"{tag}", line.split(b" ")[0]))
        await reader.read()

    async with playing(play) as wire:
        module = __import__("e2email_client.upstream.connect", fromlist=["connect"])
        monkeypatch.setattr(module, "tls_context", lambda _: client_tls())
        monkeypatch.setattr(module, "Wire", lambda *_: wire)
        unlocked: Any = SimpleNamespace(
            server=SimpleNamespace(host="127.0.0.1", name=NAME),
            settings=SimpleNamespace(address="mary@example.test", imaps_port=1),
            device_token="e2d_" + "a" * 32,
        )
        with pytest.raises(fault):
            await connect(unlocked)


async def test_a_wrong_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as server:
        port = server.imaps.endpoints[0].port
        unlocked: Any = SimpleNamespace(
            server=SimpleNamespace(host="127.0.0.1", name=NAME),
            settings=SimpleNamespace(address=server.resident.address, imaps_port=port),
            device_token="e2d_" + "a" * 32,
        )
        module = __import__("e2email_client.upstream.connect", fromlist=["connect"])
        monkeypatch.setattr(module, "tls_context", lambda _: client_tls())
        with pytest.raises(WrongSecret):
            await connect(unlocked)
        unlocked.settings.imaps_port = 0
        with pytest.raises(BadServer):
            await connect(unlocked)


async def test_everything_that_is_sent_is_quoted() -> None:
    heard: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.endswith(b"}\r\n"):
                line += await reader.readexactly(int(line[line.rindex(b"{") + 1 : -4]))
                line += await reader.readline()
            tag, _, rest = line.partition(b" ")
            heard.append(rest)
            code = b"[APPENDUID 7 1] " if b"APPEND" in rest else b""
            writer.write(tag + b" OK " + code + b"done\r\n")

    async with playing(play) as wire:
        await wire.greet()
        remote = Remote(wire)
        await remote.create('a "b"\\ c')
        await remote.rename("Größe", "x\u00a0&y")
        await remote.subscribe("50 %*", True)
        when = datetime(2026, 11, 22, tzinfo=UTC)
        await remote.append("in box", b"x\r\n1 LOGOUT\r\n", ["\\Seen"], when)
        await wire.run(b"LOGIN", Literal(b'a"\r\n'), Literal(b""))
    assert heard[0] == b'CREATE "a \\"b\\"\\\\ c"\r\n'
    assert heard[1] == b'RENAME "Gr&APYA3w-e" "x&AKA-&-y"\r\n'
    assert heard[2] == b'SUBSCRIBE "50 %*"\r\n'
    assert heard[3].startswith(b'APPEND "in box" (\\Seen) ')
    assert heard[3].endswith(b"{13+}\r\nx\r\n1 LOGOUT\r\n\r\n")
    assert heard[4].startswith(b'LOGIN {4+}\r\na"\r\n')


def test_no_repr_shows_what_is_sent() -> None:
    assert "secret" not in repr(Literal(b"secret"))
