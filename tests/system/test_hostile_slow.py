"""Peers that trickle and peers that do nothing, by the hundred: ordinary mail and logins go on."""

import contextlib
import errno
import resource
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import processes
from support.ledger import SMALL, Ledger
from support.system import DOMAIN, Server, Smtp, User

MIB = 1024 * 1024
LEO = f"leo@{DOMAIN}"
TRICKLING, IDLE = 200, 500
SOURCES = 20  # networks they come from: no more of them from one than the default lets in
COMMANDS = {
    "smtp": b"EHLO there\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\n" % LEO.encode(),
    "imap": b"a LOGIN {4000+}\r\n",
}


@pytest.fixture(scope="module")
def leo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """His server has as few descriptors to begin with as most systems give."""
    folder = tmp_path_factory.mktemp("slow")
    server = Server(folder / "server")
    server.configure("connections_per_address = 500", "connections_per_address = 50")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 4096:
        pytest.skip("too few descriptors may be open here for so many connections")
    with few_descriptors():
        server.start()
    yield server.user(LEO, folder / "leo")
    server.stop()


@contextlib.contextmanager
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def crowd(server: Server) -> Iterator[list[socket.socket]]:
    """200 that trickle and 500 that are idle, at each of SMTP and IMAP."""
    stop = threading.Event()
    wanted = 2 * (TRICKLING + IDLE) + 256
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    with contextlib.ExitStack() as stack:
        trickling, everybody = [], []
        for protocol, command in COMMANDS.items():
            for number in range(TRICKLING + IDLE):
                source = (f"127.0.1.{1 + number % SOURCES}", 0)
                where = ("127.0.0.1", server.port(protocol))
                peer = stack.enter_context(socket.create_connection(where, 60, source))
                everybody.append(peer)
                if number < TRICKLING:
                    trickling.append((peer, command))
        thread = threading.Thread(target=_trickle, args=(trickling, stop))
        thread.start()
        try:
            yield everybody
        finally:
            stop.set()
            thread.join()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _trickle(peers: list[tuple[socket.socket, bytes]], stop: threading.Event) -> None:
    """The commands that lead into a transaction or a literal, then an octet at a time."""
    for peer, command in peers:
        peer.sendall(command)
    while not stop.is_set():
        for peer, _ in peers:
            with contextlib.suppress(OSError):
                peer.send(b"x")
        stop.wait(0.1)


def greeted(peers: list[socket.socket]) -> int:
    """How many were let in: a greeting of the server's, within a minute."""
    count = 0
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            selector.register(peer, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(60)
            if not ready:
                break
            for key, _ in ready:
                peer = key.fileobj
                assert isinstance(peer, socket.socket)
                with contextlib.suppress(OSError):
                    count += peer.recv(4096).startswith((b"220", b"* OK"))
                selector.unregister(peer)
    return count


@pytest.mark.timeout(300)
def test_slow_peers_stop_nobody(leo: User, tmp_path: Path) -> None:
    """1,400 of them; the others are served, and memory stays where it was."""
    server, ledger = leo.server, Ledger()
    before = processes.rss(server.pid)
    try:
        with crowd(server) as peers:
            assert greeted(peers) == len(peers) == 2 * (TRICKLING + IDLE)
            for _ in range(10):
                with Smtp(server.port("smtp")) as client:
                    assert ledger.send(client, ledger.mail(SMALL), LEO).startswith("250")
                    assert ledger.send(client, ledger.mail(MIB), LEO).startswith("250")
                with server.imap(leo) as imap:
                    assert imap.select("INBOX")[0] == "OK"
            assert processes.rss(server.pid) - before < 64 * MIB
            told = leo.sync()
            assert told["messages"] == told["opened"] == 20
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            pytest.skip("this machine has one loopback address: slow peers are NOT tested")
        raise
    with Smtp(server.port("smtp")) as client:
        assert ledger.send(client, ledger.mail(SMALL), LEO).startswith("250")
