"""Mail programs at the server's own IMAP: what they file, flag and remove there is ciphertext."""

import asyncio
import imaplib
import json
import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aioimaplib import aioimaplib
from imapclient import IMAPClient

from support.maildir import MBSYNC, flag, maildir, mbsync
from support.programs import MUTTRC, Desk, Terminal, letter, needs
from support.system import Server, User, count, eventually, literals

LETTERS = 12
TUID = re.compile(rb"^X-TUID: [A-Za-z0-9+/]{12}\n", re.M)  # mbsync's own mark

SETTINGS = (
    MUTTRC
    + """
set sort = mailbox-order
set crypt_use_gpgme = no
set status_format = "now %m messages %F flagged."
"""
)

IMAPFLOW = """
const {{ ImapFlow }} = require('imapflow');
(async () => {{
  const client = new ImapFlow({{
    host: '{host}', port: {imaps}, secure: true, logger: false, qresync: true,
    tls: {{ ca: require('fs').readFileSync('{certificate}') }},
    auth: {{ user: '{user}', pass: '{password}' }},
  }});
  await client.connect();
  const told = {{ enabled: [...client.enabled], mails: [] }};
  told.folders = (await client.list({{ statusQuery: {{ messages: true }} }}))
    .map(one => [one.path, one.specialUse || null, one.status && one.status.messages]);
  const lock = await client.getMailboxLock('INBOX');
  told.mailbox = client.mailbox.mailboxId;
  for await (const one of client.fetch('1:*', {{ source: true, size: true, flags: true }})) {{
    told.mails.push([one.size, one.source.length, one.emailId]);
  }}
  await client.messageFlagsAdd('2', ['\\\\Flagged', 'Garden']);
  told.copied = (await client.messageCopy('3', 'Archive')).uidMap.size;
  told.moved = (await client.messageMove('4', 'Archive')).uidMap.size;
  await client.messageDelete('5');
  told.found = await client.search({{ flagged: true }});
  told.changed = [];
  for await (const one of client.fetch('1:*', {{ flags: true }}, {{ changedSince: 13n }})) {{
    told.changed.push(one.seq);
  }}
  told.appended = (await client.append('Drafts', 'Subject: flown in\\r\\n\\r\\nx\\r\\n')).uid;
  lock.release();
  await client.logout();
  console.log(JSON.stringify(told));
}})().catch(fault => {{ console.error(fault); process.exit(1); }});
"""


class Face:
    """The sealed face, with what a Desk asks of a proxy."""

    def __init__(self, server: Server, user: User) -> None:
        self.user, self.password = user, user.unlocked().device_token
        self.certificate = server.ca
        self.shown = {name: server.port(name) for name in ("imap", "imaps")}
        self.shown |= {"pop3": 0, "pop3s": 0}  # not served

    @contextmanager
    def imap(self, mailbox: str | None = "INBOX") -> Iterator[imaplib.IMAP4_SSL]:
        with self.user.server.imap(self.user) as client:
            if mailbox is not None:
                assert client.select(mailbox)[0] == "OK"
            yield client


@pytest.fixture
def desk(
    house: Server, users: Callable[[str], User], tmp_path: Path, request: pytest.FixtureRequest
) -> Desk:
    if os.environ.get("E2EMAIL_CONTROL"):
        pytest.skip("nothing but our server has a sealed face")
    user = users(f"sealed{abs(hash(request.node.name))}")
    for n in range(LETTERS):
        house.deliver(letter(n), user.address)
    home = tmp_path / "home"
    home.mkdir()
    made = Desk(Face(house, user), home)  # type: ignore[arg-type]
    with made.proxy.imap() as client:
        wait_for(client, LETTERS)
    return made


def wait_for(client: imaplib.IMAP4, messages: int) -> None:
    assert eventually(lambda: count(client) == messages)


def flags(desk: Desk, mailbox: str = "INBOX") -> dict[int, set[bytes]]:
    """By uid."""
    with desk.proxy.imap(mailbox) as client:
        told = client.uid("FETCH", "1:*", "(FLAGS)")[1]
    lines = [line for line in told if line is not None]
    found = [re.search(rb"UID (\d+) FLAGS \(([^)]*)\)", line) for line in lines]
    return {int(one[1]): set(one[2].split()) for one in found if one is not None}


@needs("mbsync")
def test_mbsync_both_ways(desk: Desk) -> None:
    desk.write("mbsyncrc", MBSYNC)
    (desk.home / "mail").mkdir()
    mbsync(desk)
    with desk.proxy.imap() as client:
        views = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1])
    stored = sorted(TUID.sub(b"", path.read_bytes()) for path in maildir(desk))
    assert stored == sorted(view.replace(b"\r\n", b"\n") for view in views)
    assert not any(b"mulberry" in one for one in stored)
    # near → far
    flagged, gone = maildir(desk)[:2]
    flag(flagged, "FS")
    gone.unlink()
    new = desk.home / "mail" / "Drafts" / "new" / "1.fresh.here"
    new.write_bytes(letter(77).replace(b"\r\n", b"\n"))
    mbsync(desk)
    assert {b"\\Flagged", b"\\Seen"} in flags(desk).values()
    assert len(flags(desk)) == LETTERS - 1
    assert len(flags(desk, "Drafts")) == 1
    # far → near
    with desk.proxy.imap() as client:
        client.store("3", "+FLAGS", "\\Answered")
        client.store("4", "+FLAGS", "\\Deleted")
        client.expunge()
        assert client.copy("5", "Archive")[0] == "OK"
    mbsync(desk)
    assert len(maildir(desk)) == LETTERS - 2
    assert len(maildir(desk, "Archive")) == 1
    assert any(path.name.endswith(":2,R") for path in maildir(desk))
    before = sorted(path.name for path in maildir(desk))
    mbsync(desk)
    assert sorted(path.name for path in maildir(desk)) == before


@pytest.mark.parametrize(
    "program",
    [pytest.param("mutt", marks=needs("mutt")), pytest.param("neomutt", marks=needs("neomutt"))],
)
def test_mutt_and_its_header_cache(desk: Desk, program: str) -> None:
    """With QRESYNC it asks for what changed, and its cache must agree with the server."""
    desk.write("muttrc", SETTINGS)
    shown = ((12, 0), (11, 2), (12, 2))  # the last one is marked, unmarked, and another marked
    for turn, (messages, marked) in enumerate(shown):
        with Terminal(desk, [program, "-F", desk.home / "muttrc"]) as terminal:
            terminal.wait_for(f"now {messages} messages {marked or ''}")
            terminal.send(":push '<last-entry><flag-message><sync-mailbox><quit>'\r")
            assert terminal.wait() == 0
        with desk.proxy.imap() as client:
            assert count(client) == messages
            if turn == 0:
                client.store("3", "+FLAGS", "\\Deleted")
                client.expunge()
                client.store("1", "+FLAGS", "\\Flagged")
            else:
                desk.proxy.user.server.deliver(letter(50 + turn), desk.address)
                wait_for(client, messages + 1)
                client.store("2", "+FLAGS", "\\Flagged")
    assert sum(b"\\Flagged" in one for one in flags(desk).values()) == 3


@needs("node")
@pytest.mark.skipif(
    "NODE_PATH" not in os.environ, reason="NODE_PATH names no imapflow: NOT tested with it"
)
def test_imapflow(desk: Desk) -> None:
    done = subprocess.run(
        ["node", desk.write("fly.js", IMAPFLOW)],
        capture_output=True,
        env=desk.environment | {"NODE_PATH": os.environ["NODE_PATH"]},
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert {"CONDSTORE", "QRESYNC"} & set(told["enabled"])
    assert ["INBOX", "\\Inbox", LETTERS] in told["folders"]
    assert re.fullmatch("M[0-9a-f]{32}", told["mailbox"])
    assert len({one for _, _, one in told["mails"]}) == LETTERS
    assert all(size == length for size, length, _ in told["mails"])
    assert (told["copied"], told["moved"], told["found"]) == (1, 1, [2])
    assert told["changed"] == [2]
    assert told["appended"] == 1
    assert len(flags(desk)) == LETTERS - 2
    assert len(flags(desk, "Archive")) == 2


def test_imapclient(desk: Desk) -> None:
    context = ssl.create_default_context(cafile=str(desk.proxy.certificate))
    with IMAPClient("localhost", desk.port("imaps"), ssl_context=context) as client:
        client.login(desk.address, desk.password)
        client.enable("QRESYNC")
        known = client.select_folder("INBOX")
        assert known[b"HIGHESTMODSEQ"] == LETTERS + 1
        assert client.fetch([1], ["SAVEDATE", "EMAILID", "MODSEQ"])[1][b"MODSEQ"] == (2,)
        assert client.add_flags([2, 3], [b"\\Seen"]) == {2: (b"\\Seen",), 3: (b"\\Seen",)}
        changed = client.fetch(range(1, 13), ["FLAGS"], ["CHANGEDSINCE 13"])
        assert set(changed) == {2, 3}
        assert client.search(["UNSEEN", "SAVEDSINCE", "1-Jan-2020"]) == [1, *range(4, 13)]
        client.move([4], "Archive")
        assert client.folder_status("Archive", ["MESSAGES", "HIGHESTMODSEQ"])[b"MESSAGES"] == 1
        client.idle()
        desk.proxy.user.server.deliver(letter(60), desk.address)
        assert (12, b"EXISTS") in client.idle_check(timeout=30)
        client.idle_done()


def test_aioimaplib(desk: Desk) -> None:
    async def session() -> list[Any]:
        context = ssl.create_default_context(cafile=str(desk.proxy.certificate))
        client = aioimaplib.IMAP4_SSL("localhost", desk.port("imaps"), ssl_context=context)
        await client.wait_hello_from_server()
        results = [
            await client.login(desk.address, desk.password),
            await client.enable("QRESYNC"),
            await client.select("INBOX"),
            await client.uid("fetch", "1:3", "(FLAGS MODSEQ)"),
            await client.store("2", "+FLAGS", "(\\Deleted)"),
            await client.expunge(),
            await client.append(letter(61), "Drafts"),
            await client.move("1", "Archive"),
            await client.logout(),
        ]
        return [one.result for one in results]

    assert asyncio.run(session()) == ["OK"] * 9
    assert len(flags(desk)) == LETTERS - 2
