"""fetchmail, getmail, mpop and curl: mail taken from the proxy by POP3 and IMAP."""

import datetime as dt
import re
from collections.abc import Callable

import pytest

from e2email_client.proxy import tls
from support import corpus
from support.programs import Desk, letter, needs

GETMAIL = """
[retriever]
type = Simple{kind}SSLRetriever
server = {{host}}
port = {{{port}}}
username = {{user}}
password = {{password}}
ca_certs = {{certificate}}

[destination]
type = MDA_external
path = /bin/sh
arguments = ("{{home}}/keep.sh",)
allow_root_commands = true

[options]
delete = {delete}
delivered_to = false
received = false
read_all = false
"""

MPOP = """
account default
host {host}
port {pop3s}
tls on
tls_starttls off
tls_trust_file {certificate}
user {user}
auth user
password {password}
delivery maildir {home}/mail
received_header off
uidls_file {home}/uidls
keep %s
"""

FETCHMAIL = """
set no bouncemail
poll {host} protocol %s port {%s} bad-header accept
  user "{user}" password "{password}"
  %s sslcertck sslcertfile {certificate}
  no rewrite, %s, fetchall, forcecr
  mda "sh {home}/keep.sh"
"""

MAILS = 60  # a process for each: a minute for all of them on a busy machine
MARK = re.compile(rb"^X-getmail-retrieved-from-mailbox:[^\n]*\n", re.M)
# one file a mail, and only a whole one
KEEP = 'f=$(mktemp {home}/mail/new/XXXXXXXX) && cat > "$f"\n'
SMUGGLER = (
    b"From: carol@example.net\r\nSubject: smuggler\r\n\r\n"
    b"hello\n.\r\n+OK 5 octets\r\nSubject: faked\r\n\r\n.\r\nend\r\n"
)
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0")


def mails(desk: Desk) -> list[bytes]:
    return sorted(path.read_bytes() for path in (desk.home / "mail" / "new").iterdir())


def make_maildir(desk: Desk) -> None:
    for name in ("new", "cur", "tmp"):
        (desk.home / "mail" / name).mkdir(parents=True)


def lines(octets: bytes) -> bytes:
    return octets.replace(b"\r\n", b"\n")


def ordinary() -> list[bytes]:
    """Mails of the corpus that a Maildir writer can keep as they are."""
    found = [
        octets
        for _, octets in corpus.messages()
        if not BARE.search(octets) and b"\r\n\r\n" in octets and octets.endswith(b"\r\n")
    ]
    if not found:
        pytest.skip("the corpus is not here")
    return found[:MAILS]


def getmail(desk: Desk) -> None:
    done = desk.run("getmail", "--getmaildir", desk.home, "--rcfile", "getmailrc")
    assert done.returncode == 0, done.stdout + done.stderr


def mpop(desk: Desk) -> None:
    done = desk.run("mpop", f"--file={desk.home}/mpoprc")
    assert done.returncode == 0, done.stderr


def fetchmail(desk: Desk) -> None:
    done = desk.run("fetchmail", "--fetchmailrc", desk.home / "fetchmailrc", "--invisible")
    assert done.returncode == 0, done.stdout + done.stderr


def prepare_getmail(desk: Desk, *, kind: str = "POP3", delete: str = "false") -> None:
    port = "pop3s" if kind == "POP3" else "imaps"
    desk.write("getmailrc", GETMAIL.format(kind=kind, port=port, delete=delete))
    desk.write("keep.sh", KEEP)
    make_maildir(desk)


def prepare_mpop(desk: Desk, *, keep: str = "on") -> None:
    desk.write("mpoprc", MPOP % keep)
    make_maildir(desk)


def prepare_fetchmail(
    desk: Desk, *, protocol: str = "POP3", tls: str = "ssl", keep: str = "keep"
) -> None:
    port = protocol.lower() + ("s" if tls == "ssl" else "")
    desk.write("fetchmailrc", FETCHMAIL % (protocol, port, tls, keep))
    desk.write("keep.sh", KEEP)
    make_maildir(desk)


@needs("getmail")
@pytest.mark.parametrize("kind", ["POP3", "IMAP"])
def test_getmail_gets_every_mail(desk_with: Callable[[list[bytes]], Desk], kind: str) -> None:
    """It writes mail as Python's email package does, so of odd ones not every octet."""
    desk = desk_with([*ordinary(), letter(1)])
    prepare_getmail(desk, kind=kind)
    getmail(desk)
    assert len(mails(desk)) == len(desk.views())
    last = lines(desk.views()[-1])
    assert any(MARK.sub(b"", one).endswith(last) for one in mails(desk))
    getmail(desk)  # what it has it does not take again
    assert len(mails(desk)) == len(desk.views())


@needs("getmail")
@pytest.mark.parametrize("kind", ["POP3", "IMAP"])
def test_getmail_removes_what_it_took(desk: Desk, kind: str) -> None:
    prepare_getmail(desk, kind=kind, delete="true")
    getmail(desk)
    assert len(mails(desk)) == 12
    assert desk.subjects() == []


@needs("mpop")
def test_mpop_gets_every_octet(desk_with: Callable[[list[bytes]], Desk]) -> None:
    desk = desk_with(ordinary())
    prepare_mpop(desk)
    mpop(desk)
    assert mails(desk) == sorted(lines(one) for one in desk.views())
    mpop(desk)
    assert len(mails(desk)) == len(desk.views())


@needs("mpop")
def test_mpop_removes_what_it_took(desk: Desk) -> None:
    prepare_mpop(desk, keep="off")
    mpop(desk)
    assert len(mails(desk)) == 12
    assert desk.subjects() == []


@needs("fetchmail")
@pytest.mark.parametrize(
    ("protocol", "tls"),
    [("POP3", "ssl"), ("POP3", 'sslproto "auto"'), ("IMAP", "ssl"), ("IMAP", 'sslproto "auto"')],
)
def test_fetchmail_gets_every_mail(desk: Desk, protocol: str, tls: str) -> None:
    prepare_fetchmail(desk, protocol=protocol, tls=tls)
    fetchmail(desk)
    assert mails(desk) == sorted(lines(one) for one in desk.views())
    assert len(desk.subjects()) == 12


@needs("fetchmail")
@pytest.mark.parametrize("protocol", ["POP3", "IMAP"])
def test_fetchmail_removes_what_it_took(desk: Desk, protocol: str) -> None:
    prepare_fetchmail(desk, protocol=protocol, keep="no keep")
    fetchmail(desk)
    assert len(mails(desk)) == 12
    assert desk.subjects() == []


@needs("fetchmail", "procmail")
def test_an_mbox_holds_every_octet(desk_with: Callable[[list[bytes]], Desk]) -> None:
    """procmail writes it: a line before each mail, `>` before From at the start of a line."""
    desk = desk_with([*ordinary()[:20], letter(1), letter(2)])
    prepare_fetchmail(desk)
    desk.write("procmailrc", "LOGFILE={home}/log\n:0\n{home}/mbox\n")
    desk.write("keep.sh", "exec procmail -f carol@example.net {home}/procmailrc\n")
    fetchmail(desk)
    kept = (desk.home / "mbox").read_bytes()
    mails = [one.partition(b"\n")[2] for one in re.split(rb"(?m)^(?=From )", kept) if one]
    expected = [re.sub(rb"(?m)^(From )", rb">\1", lines(one)) for one in desk.views()]
    assert [one.rstrip(b"\n") for one in mails] == [one.rstrip(b"\n") for one in expected]


@pytest.mark.parametrize(
    "program",
    [
        pytest.param((prepare_fetchmail, fetchmail), marks=needs("fetchmail"), id="fetchmail"),
        pytest.param((prepare_getmail, getmail), marks=needs("getmail"), id="getmail"),
        pytest.param((prepare_mpop, mpop), marks=needs("mpop"), id="mpop"),
    ],
)
def test_a_mail_that_looks_like_the_end_of_itself(
    desk_with: Callable[[list[bytes]], Desk],
    program: tuple[Callable[[Desk], None], Callable[[Desk], None]],
) -> None:
    """`LF . CRLF +OK` inside a mail must not be taken for the next reply."""
    prepare, fetch = program
    desk = desk_with([letter(1), SMUGGLER, letter(2)])
    prepare(desk)
    fetch(desk)
    found = mails(desk)
    assert len(found) == 3
    assert sum(b"Subject: smuggler" in one and one.rstrip().endswith(b"end") for one in found) == 1
    assert not any(one.startswith(b"Subject: faked") for one in found)


@needs("curl")
@pytest.mark.parametrize("protocol", ["imaps", "imap", "pop3s", "pop3"])
def test_curl_prints_a_mail(desk: Desk, protocol: str) -> None:
    """The line that is shown to newcomers; with STARTTLS and POP3 too."""
    what = "INBOX;UID=3" if protocol.startswith("imap") else "3"
    url = f"{protocol}://localhost:{desk.port(protocol)}/{what}"
    login = ["--user", f"{desk.address}:{desk.password}"]
    options = ["--silent", "--show-error", "--ssl-reqd", "--cacert", desk.proxy.certificate]
    done = desk.run("curl", *options, *login, url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == desk.views()[2]


@needs("curl")
def test_curl_refuses_a_certificate_it_was_not_told_of(desk: Desk) -> None:
    url = f"imaps://localhost:{desk.port('imaps')}/INBOX;UID=1"
    other = desk.write("other.pem", tls.make(dt.datetime.now(dt.UTC)).authority.decode())
    strangers = ["--cacert", other]
    done = desk.run("curl", "--silent", *strangers, "--user", f"{desk.address}:x", url)
    assert (done.returncode, done.stdout) == (60, b"")
