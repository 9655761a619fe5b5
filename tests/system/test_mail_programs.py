"""Programs that other people wrote read the proxy: mbsync and curl."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import corpus
from support.system import Proxy, Server, User, count, eventually, literals

MAILS = 40
# mbsync's own mark, which it puts at the end of the header of what it stores
TUID = re.compile(rb"^X-TUID: [A-Za-z0-9+/]{12}\n", re.M)

needs_mbsync = pytest.mark.skipif(
    shutil.which("mbsync") is None, reason="mbsync (isync) is not installed: NOT tested with it"
)
needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed: NOT tested with it"
)

MBSYNC = """
IMAPAccount proxy
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {certificate}

IMAPStore far
Account proxy

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX

Channel inbox
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
"""


@pytest.fixture(scope="module")
def owner(house: Server, users) -> User:
    user = users("programs")
    # mbsync takes no mail whose header has no end
    mails = [octets for _, octets in corpus.messages() if b"\r\n\r\n" in octets][:MAILS]
    with house.smtp() as client:
        for octets in mails:
            assert client.send(octets, [user.address])[-1].startswith("250")
    user.sync()
    return user


@pytest.fixture(scope="module")
def proxy(owner: User):
    with owner.proxy() as running:
        with running.imap() as client:
            assert eventually(lambda: count(client) == MAILS)
        yield running


def views(proxy: Proxy) -> list[bytes]:
    with proxy.imap() as client:
        return literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])


@needs_mbsync
def test_mbsync_pulls_every_octet(owner: User, proxy: Proxy, tmp_path: Path) -> None:
    settings = tmp_path / "mbsyncrc"
    folder = tmp_path / "mail"
    folder.mkdir()
    settings.write_text(
        MBSYNC.format(
            port=proxy.shown["imaps"],
            user=owner.address,
            password=proxy.password,
            certificate=proxy.certificate,
            folder=folder,
        )
    )
    settings.chmod(0o600)
    done = subprocess.run(
        ["mbsync", "-c", settings, "-a"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    files = [path for name in ("new", "cur") for path in folder.glob(f"INBOX/{name}/*")]
    pulled = [TUID.sub(b"", path.read_bytes(), count=1) for path in files]
    # a Maildir has the line ends of its system
    expected = [octets.replace(b"\r\n", b"\n") for octets in views(proxy)]
    assert len(pulled) == MAILS
    assert sorted(pulled) == sorted(expected)


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed: NOT tested with it"
)
@pytest.mark.parametrize("protocol", ["imaps", "imap"])
def test_curl_prints_a_mail(owner: User, proxy: Proxy, protocol: str) -> None:
    """The line that is shown to newcomers; with STARTTLS too."""
    url = f"{protocol}://localhost:{proxy.shown[protocol]}/INBOX;UID=3"
    login = ["--user", f"{owner.address}:{proxy.password}"]
    command = ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", proxy.certificate]
    done = subprocess.run([*command, *login, url], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == views(proxy)[2]


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not installed: NOT tested with it"
)
def test_curl_refuses_a_certificate_it_was_not_told_of(owner: User, proxy: Proxy) -> None:
    url = f"imaps://localhost:{proxy.shown['imaps']}/INBOX;UID=1"
    login = ["--user", f"{owner.address}:{proxy.password}"]
    done = subprocess.run(
        ["curl", "--silent", *login, url], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (60, b"")
