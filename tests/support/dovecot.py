"""A throwaway Dovecot on 127.0.0.1, the control for what broken mail is read as."""

import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .imap_text import Value, read

_CONFIGURATION = """
protocols = imap
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{home}/Mail
passdb {{
  driver = static
  args = password=pw
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={home} allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class Client:
    """Just enough IMAP to fetch."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self._socket.makefile("rb")
        self._file.readline()
        self.command(b"LOGIN u pw")
        self.command(b"SELECT INBOX")

    def command(self, line: bytes) -> list[bytes]:
        """The untagged replies, literals in them."""
        self._socket.sendall(b"t " + line + b"\r\n")
        replies = []
        while True:
            reply = self._reply()
            if reply.startswith(b"t "):
                assert reply.startswith(b"t OK"), reply
                return replies
            replies.append(reply)

    def _reply(self) -> bytes:
        reply = self._file.readline()
        while match := re.search(rb"\{(\d+)\}\r\n\Z", reply):
            reply += self._file.read(int(match[1])) + self._file.readline()
        assert reply, "Dovecot hung up"
        return reply

    def fetch(self, items: bytes) -> Iterator[tuple[int, dict[bytes, Value]]]:
        """(sequence number, item name -> value) of every message."""
        for reply in self.command(b"FETCH 1:* (%b)" % items):
            if match := re.match(rb"\* (\d+) FETCH ", reply):
                values, _ = read(reply, match.end())
                assert isinstance(values, list)
                yield int(match[1]), dict(zip(values[::2], values[1::2], strict=True))

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextmanager
def dovecot_home() -> Iterator[Path]:
    """An empty folder for a Dovecot. Skips where there is none."""
    if shutil.which("dovecot") is None:
        pytest.skip("dovecot is not installed: NO control")
    # not pytest's folder: its parents are closed to the user that Dovecot runs mail access as
    with TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        yield home


def give_to_user(*paths: Path) -> pwd.struct_passwd:
    """The user that Dovecot runs mail access as, to whom these now belong. Skips where not root."""
    user = pwd.getpwnam("nobody")
    for path in paths:
        try:
            shutil.chown(path, user.pw_uid, user.pw_gid)
        except PermissionError:
            pytest.skip("Dovecot needs root here: NO control")
    return user


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(mails: Sequence[bytes]) -> Iterator[Client]:
    """A client of a Dovecot whose INBOX holds these mails. Skips where it cannot run."""
    with dovecot_home() as home:
        port = _prepare(home, mails)
        server = subprocess.Popen(["dovecot", "-F", "-c", home / "dovecot.conf"])
        try:
            client = _client(port)
            yield client
            client.close()
        finally:
            server.terminate()
            server.wait(30)


def _prepare(home: Path, mails: Sequence[bytes]) -> int:
    """Fill the Maildir and write the configuration; the port it names."""
    folder = home / "Mail" / "cur"
    for name in ("cur", "new", "tmp"):
        (home / "Mail" / name).mkdir(parents=True)
    for number, octets in enumerate(mails):
        (folder / f"{1_000_000_000 + number}.M{number}.host:2,").write_bytes(octets)
    user = give_to_user(home, *home.rglob("*"))
    port = free_port()
    (home / "dovecot.conf").write_text(
        _CONFIGURATION.format(home=home, port=port, user=user.pw_uid, group=user.pw_gid)
    )
    return port


def _client(port: int) -> Client:
    for _ in range(100):
        try:
            return Client(port)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("Dovecot does not answer")
