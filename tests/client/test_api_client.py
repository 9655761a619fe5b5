"""The HTTPS client against peers that are absent, slow, wrong or hostile."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme

from e2email_client import api
from e2email_client.api import AccountApi, Login, Server, read_url
from e2email_client.failure import BadServer, LocalFault, Offline, Refused
from e2email_protocol import account as m
from support.account_server import NAME, authority, server_tls

Talk = Callable[[socket.socket], None]


@contextmanager
def peer(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server for one connection that says what `talk` says."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = tls or server_tls(NAME)

    def serve() -> None:
        try:
            plain, _ = listener.accept()
            with plain:
                talk(plain) if tls is PLAIN else _secure(plain, context, talk)
        except OSError:
            return  # the client hung up, or the test is over

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield Server("127.0.0.1", port, NAME, authority().cert_pem.bytes())
    finally:
        listener.close()
        thread.join(0.2)


PLAIN: Any = object()


def _secure(plain: socket.socket, context: ssl.SSLContext, talk: Talk) -> None:
    with context.wrap_socket(plain, server_side=True) as secure:
        secure.recv(65536)
        talk(secure)


def says(octets: bytes) -> Talk:
    return lambda connection: connection.sendall(octets)


def reply(body: bytes, status: str = "200 OK") -> Talk:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return says(head + body)


def ask(server: Server) -> m.KdfParameters:
    return AccountApi(server).call("GET", "/v1/x", m.KdfParameters)


GOOD = m.KdfParameters(3, 65536, b"s" * 16).encode()


def test_an_answer() -> None:
    with peer(reply(GOOD)) as server:
        assert ask(server).t == 3


def test_a_refusal_has_its_code() -> None:
    body = m.Refusal("conflict", "Somebody was faster.").encode()
    with peer(reply(body, "409 Conflict")) as server, pytest.raises(Refused) as caught:
        ask(server)
    assert caught.value.code == "conflict"
    assert str(caught.value) == "The server refused: Somebody was faster."


BAD = {
    "no HTTP": says(b"220 mail ESMTP\r\n"),
    "no JSON": reply(b"<html>"),
    "another message": reply(b'{"ok":true}'),
    "an error page": reply(b"<h1>Oops</h1>", "404 Not Found"),
    "an error with escapes": reply(b'{"error":"x","message":"\\u001b]0;owned"}', "400 Bad"),
    "a redirect": says(
        b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n"
    ),
    "a header of a megabyte": says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n"),
    "a thousand headers": says(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000 + b"\r\n"),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense(name: str) -> None:
    with peer(BAD[name]) as server, pytest.raises(BadServer):
        ask(server)


def test_a_reply_above_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "REPLY_CAP", 1000)
    with peer(reply(b" " * 1001)) as server, pytest.raises(BadServer, match="more than it may"):
        ask(server)


def test_cut_short() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    with peer(says(head)) as server, pytest.raises(Offline):
        ask(server)


@pytest.mark.parametrize(
    "status", ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"]
)
def test_unavailable(status: str) -> None:
    with peer(reply(b"<h1>later</h1>", status)) as server, pytest.raises(Offline):
        ask(server)


def test_hung_up() -> None:
    with peer(says(b"")) as server, pytest.raises(Offline):
        ask(server)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Offline, match="was not reached"):
        ask(Server("127.0.0.1", port, NAME))


def test_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "STEP_SECONDS", 0.2)
    over = threading.Event()
    with peer(lambda _: over.wait(10) and None) as server, pytest.raises(Offline):
        ask(server)
    over.set()


def test_a_server_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drop comes in time, the whole does not."""
    monkeypatch.setattr(api, "EXCHANGE_SECONDS", 0.5)
    drops = []

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b" ")
            drops.append(1)
            time.sleep(0.05)

    with peer(drip) as server, pytest.raises(Offline):
        ask(server)
    assert len(drops) < 1000


def test_plain_http_where_tls_belongs() -> None:
    with peer(reply(GOOD), PLAIN) as server, pytest.raises(BadServer, match="TLS"):
        ask(server)


def test_another_authority() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(NAME).configure_cert(context)
    with peer(reply(GOOD), context) as server, pytest.raises(BadServer, match="--ca"):
        ask(server)


def test_a_certificate_of_another_name() -> None:
    with (
        peer(reply(GOOD), server_tls("other.test")) as server,
        pytest.raises(BadServer, match="trusted"),
    ):
        ask(server)


def test_the_own_authority_replaces_the_public_ones() -> None:
    """With --ca the machine's list is not asked: a public certificate would be refused."""
    with peer(reply(GOOD)) as server, pytest.raises(BadServer, match="trusted"):
        ask(Server(server.host, server.port, NAME, None))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls() -> None:
    context = server_tls(NAME)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with peer(reply(GOOD), context) as server, pytest.raises(BadServer):
        ask(server)


def test_an_authority_that_is_none() -> None:
    with peer(reply(GOOD)) as server, pytest.raises(LocalFault, match="PEM"):
        ask(Server(server.host, server.port, NAME, b"\xffnot PEM"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://mail.example.test", ("mail.example.test", 443, "mail.example.test")),
        ("https://Mail.Example.Test:8443/", ("mail.example.test", 8443, "mail.example.test")),
        ("https://[::1]:8443", ("::1", 8443, "::1")),
    ],
)
def test_url(url: str, expected: tuple[str, int, str]) -> None:
    server = read_url(url)
    assert (server.host, server.port, server.name) == expected
    assert read_url(server.url, server.name) == server


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.test",
        "mail.example.test",
        "https://",
        "https://user@mail.example.test",
        "https://mail.example.test/path",
        "https://mail.example.test?x",
        "https://mail.example.test:99999",
        "https://[::1",
    ],
)
def test_bad_url(url: str) -> None:
    with pytest.raises(LocalFault):
        read_url(url)


def test_a_login_is_not_shown() -> None:
    logins = (Login.afresh("a@b", b"\x11" * 32), Login.device("e2d_secret"))
    assert "11" not in repr(logins)
    assert "secret" not in repr(logins)


@contextmanager
def kept_peer(answers: list[int]) -> Iterator[tuple[Server, list[int]]]:
    """A server that gives so many answers on each connection in turn, then ends it; how many it
    gave on each."""
    listener = socket.create_server(("127.0.0.1", 0))
    context, given = server_tls(NAME), list[int]()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()

    def serve() -> None:
        for count in answers:
            plain, _ = listener.accept()
            given.append(0)
            with plain, context.wrap_socket(plain, server_side=True) as secure:
                while given[-1] < count and secure.recv(65536):
                    secure.sendall(head + GOOD)
                    given[-1] += 1

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    yield Server("127.0.0.1", port, NAME, authority().cert_pem.bytes()), given
    thread.join(5)
    listener.close()


def test_one_connection_is_kept() -> None:
    with kept_peer([9, 1]) as (server, given):
        kept = AccountApi(server)
        with kept.keeping():
            for _ in range(3):
                assert kept.call("GET", "/v1/x", m.KdfParameters).t == 3
        assert kept.call("GET", "/v1/x", m.KdfParameters).t == 3
    assert given == [3, 1]


def test_a_kept_connection_that_ended_is_dialled_anew() -> None:
    with kept_peer([2, 9]) as (server, given):
        kept = AccountApi(server)
        with kept.keeping():
            for _ in range(4):
                kept.call("GET", "/v1/x", m.KdfParameters)
    assert given == [2, 2]


def test_a_new_connection_that_ends_is_not_tried_again() -> None:
    with kept_peer([0]) as (server, given):
        kept = AccountApi(server)
        with kept.keeping(), pytest.raises(Offline):
            kept.call("GET", "/v1/x", m.KdfParameters)
    assert given == [0]
