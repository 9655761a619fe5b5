"""`listen.compress`: DEFLATE on the listeners that want it, and on no other."""

import asyncio
import imaplib
import zlib
from types import SimpleNamespace

import pytest

from e2email_server import listeners
from e2email_server.config import Endpoint, Limits, Listen
from e2email_server.imap.server import start_imap
from support.account_server import server_tls
from support.sealed_face import NAME, client_tls, house

LOOPBACK = Endpoint("127.0.0.1", 0)


def _read_compressed(port: int, user: str, secret: str) -> bytes:
    client = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=client_tls())
    client.login(user, secret)
    assert "COMPRESS=DEFLATE" in client.capability()[1][0].decode().split()
    assert client.xatom("COMPRESS", "DEFLATE")[0] == "OK"
    packer, unpacker = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
    asked = b"b NOOP\r\nc LOGOUT\r\n"
    client.sock.sendall(packer.compress(asked) + packer.flush(zlib.Z_SYNC_FLUSH))
    said = b""
    while octets := client.sock.recv(65536):
        said += unpacker.decompress(octets)
    client.sock.close()
    return said


async def test_it_works_over_tls() -> None:
    async with house() as server:
        secret = await server.password()
        listener = await start_imap(
            [LOOPBACK], server.backend, server_tls(NAME), implicit=True, compress=True, drain=1
        )
        port = listener.endpoints[0].port
        said = await asyncio.to_thread(_read_compressed, port, server.resident.address, secret)
        await listener.stop()
    assert b"b OK done\r\n" in said
    assert b"c OK" in said


@pytest.mark.parametrize(("protocol", "wanted"), [("imap", False), ("imaps", True)])
async def test_each_listener_has_its_own_setting(
    monkeypatch: pytest.MonkeyPatch, protocol: str, wanted: bool
) -> None:
    started = []

    async def start(*_: object, **settings: object) -> None:
        started.append(settings["compress"])

    monkeypatch.setattr(listeners, "start_imap", start)
    listen = Listen(imap=(LOOPBACK,), imaps=(LOOPBACK,), compress={"imap": False, "imaps": True})
    parts = SimpleNamespace(
        config=SimpleNamespace(listen=listen, limits=Limits()),
        imap=None,
        tls=SimpleNamespace(context=None),
    )
    await listeners.LISTENERS[protocol](parts, {})
    assert started == [wanted]


def test_it_is_off_where_nobody_asked() -> None:
    assert not any(Listen().compress.values())
