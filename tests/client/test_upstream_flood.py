"""What a server says to one command is bounded, however it says it."""

import asyncio

import pytest

from e2email_client.failure import BadServer
from e2email_client.upstream import wire
from e2email_protocol.imap.response_types import Exists, Response

SKELETON = (
    b"* 1000000 FETCH (UID 4294967295 FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft "
    b'$Forwarded $MDNSent $Junk $NotJunk) INTERNALDATE "22-Nov-2026 10:00:00 +0000"'
    b" EMAILID (E0123456789abcdef0123456789abcdef))\r\n"
)


class Transport:
    """Takes everything."""

    closed = False

    def writelines(self, _: list[bytes]) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def heard() -> list[Response]:
    return []


@pytest.fixture
async def protocol(heard: list[Response]) -> wire._Protocol:
    made = wire._Protocol(asyncio.get_running_loop(), heard.append)
    made.transport = Transport()
    made.greeted.set_result(None)
    return made


async def ask(protocol: wire._Protocol, *said: bytes) -> wire.Result:
    asked = asyncio.create_task(protocol.run(b"NOOP"))
    await asyncio.sleep(0)
    for octets in said:
        protocol.data_received(octets)
    tag = next(iter(protocol._running), b"")
    protocol.data_received(b"%b OK done\r\n" % tag)
    return await asked


async def test_too_many_replies(
    protocol: wire._Protocol, heard: list[Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_REPLIES", 10)
    for _ in range(3):  # for each command, not in all
        assert len((await ask(protocol, b"* 1 EXISTS\r\n" * 10)).untagged) == 10
    with pytest.raises(BadServer):
        await ask(protocol, b"* 1 EXISTS\r\n" * 1000)
    assert protocol.transport.closed
    protocol.data_received(b"* 1 EXISTS\r\n")
    assert len(heard) <= 30 + 11
    assert all(isinstance(one, Exists) for one in heard)
    with pytest.raises(BadServer):
        await protocol.run(b"NOOP")


async def test_too_many_octets(protocol: wire._Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_OCTETS", 1000)
    for _ in range(3):
        assert len((await ask(protocol, b"* OK " + b"x" * 900 + b"\r\n")).untagged) == 1
    with pytest.raises(BadServer):
        await ask(protocol, *[b"* OK " + b"x" * 100 + b"\r\n"] * 10)
    assert protocol.transport.closed


def test_a_mailbox_of_a_million_messages_fits() -> None:
    assert wire.MOST_REPLIES >= 1_000_000
    assert 1_000_000 * len(SKELETON) <= wire.MOST_OCTETS
