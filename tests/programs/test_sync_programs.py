"""mbsync and offlineimap: a Maildir and the proxy in step, both ways."""

import re
from collections import Counter
from collections.abc import Callable

from support import corpus
from support.maildir import MBSYNC, flag, maildir, mbsync, one
from support.programs import Desk, letter, needs

OFFLINEIMAP = """
[general]
accounts = proxy
metadata = {home}/offlineimap
maxsyncaccounts = 1

[Account proxy]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {home}/mail

[Repository far]
type = IMAP
remotehost = {host}
remoteport = {imaps}
remoteuser = {user}
remotepass = {password}
ssl = yes
sslcacertfile = {certificate}
maxconnections = 2
"""

# mbsync's own mark, which it puts at the end of the header of what it stores
TUID = re.compile(rb"^X-TUID: [A-Za-z0-9+/]{12}\n", re.M)
# what mbsync changes beside line ends
BARE_CR_AT_THE_END = {"stalwart-mail-parser/legacy__049.eml"}


def offlineimap(desk: Desk) -> None:
    done = desk.run("offlineimap", "-c", desk.home / "offlineimaprc", "-o", "-u", "basic")
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def there_and_back(desk: Desk, sync: Callable[[Desk], None]) -> None:
    """Flags, new mail and removals, first from one side and then from the other."""
    sync(desk)
    assert len(maildir(desk)) == len(desk.subjects())
    # near → far
    flag(one(desk, b"letter 01\n"), "FS")
    flag(one(desk, b"letter 02\n"), "RS")
    one(desk, b"letter 03\n").unlink()
    new = desk.home / "mail" / "Drafts" / "new" / "1.fresh.here"
    new.write_bytes(letter(77).replace(b"\r\n", b"\n"))
    sync(desk)
    assert {"\\Flagged", "\\Seen"} <= desk.flags("letter 01")
    assert {"\\Answered", "\\Seen"} <= desk.flags("letter 02")
    assert "letter 03" not in desk.subjects()
    assert desk.subjects("Drafts") == ["letter 77"]
    # far → near
    with desk.proxy.imap() as client:
        for subject, flags in (("letter 04", "\\Flagged"), ("letter 05", "\\Deleted")):
            _, found = client.search(None, "SUBJECT", f'"{subject}"')
            client.store(found[0].decode(), "+FLAGS", flags)
        client.expunge()
        assert client.create("Projects/Garden")[0] == "OK"
        assert client.append("Projects/Garden", "(\\Seen)", None, letter(78))[0] == "OK"
    sync(desk)
    assert "F" in one(desk, b"letter 04\n").name.partition(":2,")[2]
    assert not [path for path in maildir(desk) if b"letter 05\n" in path.read_bytes()]
    # and then there is nothing to do, and nothing is there twice
    before = sorted(desk.subjects() + desk.subjects("Drafts"))
    sync(desk)
    assert sorted(desk.subjects() + desk.subjects("Drafts")) == before
    assert len(set(before)) == len(before)


@needs("mbsync")
def test_mbsync_there_and_back(desk: Desk) -> None:
    desk.write("mbsyncrc", MBSYNC)
    (desk.home / "mail").mkdir()
    there_and_back(desk, mbsync)
    assert one(desk, b"letter 78", "Projects/Garden").name.endswith("S")


@needs("offlineimap")
def test_offlineimap_there_and_back(desk: Desk) -> None:
    desk.write("offlineimaprc", OFFLINEIMAP)
    there_and_back(desk, offlineimap)
    assert one(desk, b"letter 78", "Projects.Garden").name.endswith("S")


def lines(octets: bytes) -> bytes:
    """A Maildir has the line ends of its system."""
    return octets.replace(b"\r\n", b"\n")


def differing(desk: Desk, names: list[str]) -> set[str]:
    """Which mails a Maildir does not hold as the proxy gave them.

    Line ends and mbsync's own mark aside.
    """
    pulled = Counter(TUID.sub(b"", path.read_bytes(), count=1) for path in maildir(desk))
    expected = [lines(one) for one in desk.views()]
    assert len(expected) == len(names) == pulled.total()
    found = set()
    for name, octets in zip(names, expected, strict=True):
        if pulled[octets]:
            pulled[octets] -= 1
        else:
            found.add(name)
    return found


@needs("mbsync")
def test_mbsync_gets_every_octet(desk_with: Callable[[list[bytes]], Desk]) -> None:
    # mbsync takes no mail whose header has no end
    mails = [(name, one) for name, one in corpus.messages() if b"\r\n\r\n" in one]
    desk = desk_with([octets for _, octets in mails])
    desk.write("mbsyncrc", MBSYNC)
    (desk.home / "mail").mkdir()
    mbsync(desk)
    assert differing(desk, [name for name, _ in mails]) <= BARE_CR_AT_THE_END


@needs("offlineimap")
def test_offlineimap_gets_every_mail(desk_with: Callable[[list[bytes]], Desk]) -> None:
    """It writes mail as Python's email package does, so not every octet, but it loses none."""
    desk = desk_with([octets for _, octets in corpus.messages()])
    desk.write("offlineimaprc", OFFLINEIMAP)
    offlineimap(desk)
    assert len(maildir(desk)) == len(desk.subjects())
