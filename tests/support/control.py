"""Dovecot in the proxy's place: what a program does with it, it shall do with ours.

It looks to the tests as a running Proxy does, as far as they look.
"""

import datetime as dt
import imaplib
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2email_client.proxy import tls
from support.dovecot import dovecot_home, free_port, give_to_user
from support.system import DOMAIN, end, eventually

_CONFIGURATION = """
protocols = imap pop3
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
listen = 127.0.0.1
ssl = required
ssl_cert = <{home}/certificate.pem
ssl_key = <{home}/key.pem
ssl_dh = </usr/share/dovecot/dh.pem
first_valid_uid = 1
mail_location = maildir:{home}/Mail:LAYOUT=fs
passdb {{
  driver = static
  args = password=pw
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={home} allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
  mailbox Junk {{
    special_use = \\Junk
    auto = subscribe
  }}
  mailbox Archive {{
    special_use = \\Archive
    auto = subscribe
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class Control:
    """Its one account: any address, one password. It is its own `user` and that one's `server`."""

    address = f"owner@{DOMAIN}"
    password = "pw"

    def __init__(self, home: Path, ports: dict[str, int]) -> None:
        self.shown = ports
        self.certificate = home / "ca.pem"

    @property
    def user(self) -> "Control":
        return self

    @property
    def server(self) -> "Control":
        return self

    @contextmanager
    def imap(self, mailbox: str | None = "INBOX") -> Iterator[imaplib.IMAP4_SSL]:
        context = ssl.create_default_context(cafile=str(self.certificate))
        port = self.shown["imaps"]
        with imaplib.IMAP4_SSL("localhost", port, ssl_context=context) as client:
            client.login(self.address, self.password)
            if mailbox is not None:
                assert client.select(mailbox)[0] == "OK"
            yield client

    def deliver(self, mail: bytes, _: str) -> None:
        with self.imap() as client:
            assert client.append("INBOX", "", None, mail)[0] == "OK"


@contextmanager
def dovecot(mails: Sequence[bytes]) -> Iterator[Control]:
    """A Dovecot whose inbox holds these mails. Skips where it cannot run."""
    with dovecot_home() as home:
        control = _prepare(home)
        process = subprocess.Popen(["dovecot", "-F", "-c", home / "dovecot.conf"])
        try:
            assert eventually(lambda: _answers(control.shown["imaps"])), (home / "log").read_text()
            for octets in mails:
                control.deliver(octets, control.address)
            yield control
        finally:
            end(process)


def _prepare(home: Path) -> Control:
    (home / "Mail").mkdir()
    user = give_to_user(home, home / "Mail")
    made = tls.make(dt.datetime.now(dt.UTC))  # as the proxy's own: it is not what is compared
    (home / "ca.pem").write_bytes(made.authority)
    (home / "key.pem").write_bytes(made.key)
    (home / "certificate.pem").write_bytes(made.certificate)
    ports = {name: free_port() for name in ("imap", "imaps", "pop3", "pop3s")}
    settings = {"home": home, "user": user.pw_uid, "group": user.pw_gid}
    (home / "dovecot.conf").write_text(_CONFIGURATION.format(**settings, **ports))
    return Control(home, ports)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
