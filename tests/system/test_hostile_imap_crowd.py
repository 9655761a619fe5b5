"""A thousand who trickle before an IMAP login, and one who stops reading in the middle of a FETCH.

Nobody else notices: a login takes less than half a second, memory and log stay as they are.
"""

import contextlib
import errno
import imaplib
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from support import processes
from support.system import Server, User

MIB = 1024 * 1024
PEERS = 1000
SOURCES = 25  # addresses they come from: no more of them from one than the default lets in
LOGIN = 0.5  # seconds that another user's login may take meanwhile
MAILS, MAIL_SIZE = 40, 2 * MIB


@pytest.fixture(scope="module")
def mia(users) -> User:
    return users("mia")


@contextlib.contextmanager
def descriptors(wanted: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < wanted:
        pytest.skip("too few descriptors may be open here: a thousand peers are NOT tested")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def peer(server: Server, port: str, number: int, stack: contextlib.ExitStack) -> socket.socket:
    source = (f"127.0.2.{1 + number % SOURCES}", 0)
    raw = socket.create_connection(("127.0.0.1", server.port(port)), 60, source)
    if port == "imap":
        return stack.enter_context(raw)
    context = ssl.create_default_context(cafile=str(server.ca))
    return stack.enter_context(context.wrap_socket(raw, server_hostname="localhost"))


def trickle(peers: list[socket.socket], stop: threading.Event) -> None:
    """One octet a second to each, spread over the second."""
    while True:
        for one in peers:
            if stop.wait(1 / len(peers)):
                return
            with contextlib.suppress(OSError):
                one.send(b"x")


@contextlib.contextmanager
def crowd(server: Server, port: str, peers: int) -> Iterator[None]:
    """Each has sent nearly as much as it may: a literal that never ends."""
    stop = threading.Event()
    with contextlib.ExitStack() as stack, descriptors(2 * peers + 256):
        try:
            everybody = [peer(server, port, number, stack) for number in range(peers)]
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                pytest.skip("this machine has one loopback address: a crowd is NOT tested")
            raise
        for one in everybody:
            assert one.recv(4096).startswith(b"* OK")
            one.sendall(b"a LOGIN {4000+}\r\n" + b"x" * 3000)
        thread = threading.Thread(target=trickle, args=(everybody, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def logins(server: Server, user: User, times: int) -> list[float]:
    """Seconds of each, connection, TLS and SELECT included."""
    token = user.unlocked().device_token
    context = ssl.create_default_context(cafile=str(server.ca))
    took = []
    for _ in range(times):
        began = time.monotonic()
        with imaplib.IMAP4_SSL("localhost", server.port("imaps"), ssl_context=context) as client:
            client.login(user.address, token)
            assert client.select("INBOX")[0] == "OK"
            took.append(time.monotonic() - began)
    return took


@pytest.mark.parametrize("port", ["imap", "imaps"])
def test_a_hundred_trickling_peers(house: Server, mia: User, port: str) -> None:
    before = processes.rss(house.pid)
    with crowd(house, port, 100):
        logins(house, mia, 3)
        assert processes.rss(house.pid) - before < 64 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("port", ["imap", "imaps"])
def test_a_thousand_trickling_peers(house: Server, mia: User, port: str) -> None:
    logins(house, mia, 1)
    before = processes.rss(house.pid)
    with crowd(house, port, PEERS):
        took = logins(house, mia, 10)
        grown = processes.rss(house.pid) - before
    print(f"\n{port}: {PEERS} peers, login {max(took):.3f} s, memory + {grown / MIB:.1f} MiB")
    assert max(took) < LOGIN
    assert grown < 64 * MIB


def fill(server: Server, user: User) -> None:
    body = (b"x" * 70 + b"\r\n") * (MAIL_SIZE // 72)
    with server.imap(user) as client:
        for number in range(MAILS):
            assert (
                client.append("INBOX", "", None, b"Subject: %d\r\n\r\n" % number + body)[0] == "OK"
            )


def log_size(server: Server) -> int:
    return server.log.stat().st_size


@pytest.mark.slow
def test_a_reader_that_stops_in_the_middle(house: Server, mia: User) -> None:
    """It has asked for 80 MB ten times, and takes nothing of it."""
    fill(house, mia)
    logins(house, mia, 1)
    before, log = processes.rss(house.pid), log_size(house)
    with contextlib.ExitStack() as stack:
        for number in range(10):
            one = peer(house, "imaps", number, stack)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            token = mia.unlocked().device_token
            one.sendall(f"a LOGIN {mia.address} {token}\r\nb SELECT INBOX\r\n".encode())
            one.sendall(b"c FETCH 1:* BODY.PEEK[]\r\n" * 10)
        time.sleep(3)
        took = logins(house, mia, 10)
        grown = processes.rss(house.pid) - before
        print(f"\nstopped readers: login {max(took):.3f} s, memory + {grown / MIB:.1f} MiB")
        assert max(took) < LOGIN
        assert grown < 64 * MIB
        assert log_size(house) - log < 64 * 1024
