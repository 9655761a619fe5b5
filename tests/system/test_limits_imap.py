"""Before a login, IMAP at the running server: bounded, answered with BAD or BYE, and nobody else
suffers. After three bad logins BYE, slower each time."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import processes
from support.system import Server, User

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def ida(users) -> User:
    return users("ida")


ATTACKS = {
    "a line of 8 MB": (b"a LOGIN " + b"x" * 8_000_000 + b"\r\n", b"* BYE"),
    "a line of 8 MB without end": (b"x" * 8_000_000, b"* BYE"),
    "a literal of 4 GB": (b"a LOGIN {4294967295}\r\n", b"* BYE"),
    "a literal of 1 GB unasked": (b"a LOGIN {999999999+}\r\n" + b"x" * MIB, b"* BYE"),
    "a million parentheses": (b"a SEARCH " + b"(" * 1_000_000 + b"\r\n", b"* BYE"),
    "many literals": (b"a LOGIN " + b"{1+}\r\nx " * 100_000 + b"\r\nb LOGOUT\r\n", b"a BAD"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n" * 20, b"* BYE"),
    "NUL": (b"\0" * 100_000, b"* BYE"),
    "bad commands": (b"a NONSENSE\r\n" * 100, b"* BYE"),
}


@contextlib.contextmanager
def connected(server: Server, port: str, source: str) -> Iterator[socket.socket]:
    where = ("127.0.0.1", server.port(port))
    with socket.create_connection(where, 60, (source, 0)) as connection:
        if port == "imap":
            yield connection
            return
        context = ssl.create_default_context(cafile=str(server.ca))
        with context.wrap_socket(connection, server_hostname="localhost") as wrapped:
            yield wrapped


def attacked(server: Server, port: str, octets: bytes, source: str) -> bytes:
    """All that is answered until the server hangs up."""
    answers = b""
    with connected(server, port, source) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(octets)
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                answers += data
    return answers


@pytest.mark.parametrize("port", ["imap", "imaps"])
@pytest.mark.parametrize("name", ATTACKS)
def test_before_login(house: Server, ida: User, name: str, port: str) -> None:
    octets, answer = ATTACKS[name]
    before = processes.rss(house.pid)
    told = attacked(house, port, octets, "127.0.0.21")
    # where more was sent than is read, the reset may overtake the answer
    assert answer in told or len(octets) > 64 * 1024
    assert b" OK LOGIN" not in told
    assert processes.rss(house.pid) - before < 64 * MIB
    with house.imap(ida) as client:
        assert client.noop()[0] == "OK"


def test_fifty_at_once_cost_no_memory(house: Server, ida: User) -> None:
    """Each sends as much as it may before a login and stops in the middle."""
    before = processes.rss(house.pid)
    with contextlib.ExitStack() as stack:
        for number in range(50):
            source = f"127.0.0.{30 + number}"
            connection = stack.enter_context(connected(house, "imap", source))
            connection.sendall(b"a LOGIN {4000+}\r\n" + b"x" * 3000)
        with house.imap(ida) as client:
            assert client.noop()[0] == "OK"
        assert processes.rss(house.pid) - before < 64 * MIB


def test_thirty_programs_append_fifty_megabytes(house: Server, ida: User) -> None:
    """What is held of their mails is bounded over all of them; somebody's draft still passes."""
    before = processes.rss(house.pid)
    with contextlib.ExitStack() as stack:
        answers = []
        for _ in range(30):
            client = house.imap(ida)
            stack.callback(client.shutdown)  # no LOGOUT: it would be part of the literal
            client.send(b"x APPEND Drafts {50000000}\r\n")
            answers.append(client.readline())
            if answers[-1].startswith(b"+"):
                client.send(b"x" * 49_000_000)
        assert answers[0].startswith(b"+")
        assert {answer[:18] for answer in answers[2:]} == {b"x NO [UNAVAILABLE]"}
        other = stack.enter_context(house.imap(ida))
        assert other.append("Drafts", "", None, b"Subject: x\r\n\r\nx\r\n")[0] == "OK"
        assert processes.rss(house.pid) - before < 256 * MIB


def bad_logins(server: Server, name: str, source: str) -> bytes:
    """What three of them are told, and whatever comes until the end."""
    with connected(server, "imaps", source) as connection, connection.makefile("rb") as file:
        assert file.readline().startswith(b"* OK")
        for _ in range(3):
            connection.sendall(b'x LOGIN "%s" "wrong"\r\n' % name.encode())
        return file.read()


def test_three_bad_logins_end_the_connection(house: Server, ida: User) -> None:
    """A name that exists and one that does not hear the same; the owner still gets in."""
    guesses = [(ida.address, "127.0.0.22"), ("nobody@example.test", "127.0.0.23")]
    with ThreadPoolExecutor(2) as pool:
        known, unknown = pool.map(lambda guess: bad_logins(house, *guess), guesses)
    assert known == unknown
    assert known.count(b"x NO") == 3
    assert b"* BYE" in known
    with house.imap(ida) as client:
        assert client.noop()[0] == "OK"


def test_no_password_in_clear(house: Server, ida: User) -> None:
    """Before STARTTLS a login is refused without looking at it."""
    login = f'a LOGIN "{ida.address}" "{ida.unlocked().device_token}"'
    with processes.imap_line(house.port("imap"), "127.0.0.24") as line:
        assert line(login).startswith(b"a NO")
