"""No word of a mail and no secret on any disk: server, client, proxy; at rest and after kills."""

import base64
import imaplib
import os
import re
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from e2email_client.api import AccountApi, Login
from e2email_client.config import load
from e2email_client.paths import Home
from e2email_client.unlock import derive, parameters
from e2email_protocol import account as messages
from support import processes
from support.canaries import Found, ascii_word, dresses, files, search, word
from support.system import DOMAIN, Proxy, Server, Smtp, User, eventually, literals, online

MARY = f"mary@{DOMAIN}"


@dataclass(frozen=True, slots=True)
class Words:
    """Canaries of one mail, and the mail."""

    body: str
    subject: str
    attachment: str
    sender: str
    header: str
    inner: str

    @property
    def all(self) -> dict[str, str]:
        return asdict(self)

    def mail(self, filling: bytes = b"") -> bytes:
        """Each word where it belongs; body and attachment in several encodings."""
        encoded = base64.encodebytes(f"{self.inner}\r\n".encode() * 20).replace(b"\n", b"\r\n")
        wide = base64.encodebytes(self.body.encode("utf-16")).replace(b"\n", b"\r\n")
        quoted = dresses(self.body)["quoted-printable"]
        subject = "=?utf-8?B?" + base64.b64encode(self.subject.encode()).decode() + "?="
        return b"".join(
            (
                f"From: {self.sender} <{self.sender}@example.net>\r\n".encode(),
                f"To: mary@{DOMAIN}\r\nSubject: {subject}\r\n".encode(),
                f"X-Whatever: {self.header}\r\n".encode(),
                b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n',
                b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
                self.body.encode() + b"\r\n" + filling + b"\r\n",
                b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n",
                b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted + b"\r\n",
                b"--b\r\nContent-Type: text/plain; charset=utf-16\r\n",
                b"Content-Transfer-Encoding: base64\r\n\r\n" + wide,
                b"--b\r\nContent-Type: application/octet-stream\r\n",
                b"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n",
                f' filename="{self.attachment}.pdf"\r\n\r\n'.encode(),
                encoded + b"--b--\r\n",
            )
        )


def words() -> Words:
    return Words(
        body=word("body"),
        subject=word("subject"),
        attachment=ascii_word("attachment"),
        sender=ascii_word("sender"),
        header=ascii_word("header"),
        inner=word("inner"),
    )


@dataclass
class Watched:
    """A server and one user, both with their temporary files in a folder that is looked at."""

    server: Server
    user: User
    folder: Path
    invite: str
    app_password: str

    def places(self) -> Iterator[tuple[str, bytes]]:
        """Every file that any program made, with its name; not what the test itself keeps."""
        yield from files(self.folder, but=(self.folder / "mary.passphrase",))
        device_files = [name for name in os.listdir("/dev/shm") if "e2email" in name]
        yield "/dev/shm", " ".join(device_files).encode()


def app_password(user: User) -> str:
    """Made as a client makes it: with `auth` afresh."""
    api = AccountApi(user.unlocked().server)
    settings = load(Home(user.home).account(user.address))
    question = messages.LoginQuestion(user.address)
    asked = api.call("POST", "/v1/login-parameters", messages.KdfParameters, question)
    split = derive(user.passphrase, parameters(asked), user.address, settings.server_name)
    wish = messages.TokenRequest(messages.APP, "mail program", ("read", "write", "delete"))
    login = Login.afresh(user.address, split.auth)
    return api.call("POST", "/v1/tokens", messages.NewToken, wish, login).token


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        temporary = folder / "tmp"
        temporary.mkdir()
        patch.setenv("TMPDIR", str(temporary))
        patch.setenv("SQLITE_TMPDIR", str(temporary))
        house = Server(folder / "server")
        house.start(cwd=temporary)
        user = User(MARY, folder / "mary", house, passphrase=word("passphrase"))
        invite = house.invite(MARY)
        done = user.setup("--invite", invite, "--no-recovery")
        assert done.code == 0, done.error
        yield Watched(house, user, folder, invite, app_password(user))
        house.stop()


@pytest.fixture
def secrets(watched: Watched) -> dict[str, str]:
    return {
        "passphrase": watched.user.passphrase,
        "invite": watched.invite,
        "app password": watched.app_password,
        "device token": watched.user.unlocked().device_token,
    }


# --- the search itself ------------------------------------------------------------------------


@pytest.mark.parametrize("dress", sorted(dresses(word("x"))))
def test_the_search_finds_what_is_there(tmp_path: Path, dress: str) -> None:
    planted = word("planted")
    (tmp_path / "file").write_bytes(b"\0\r\n ab" + dresses(planted)[dress] + b"cd")
    found = search({"planted": planted, "other": word("other")}, files(tmp_path))
    assert dress in {one.dress for one in found}
    assert {one.what for one in found} == {"planted"}


def test_the_search_finds_folded_base64_and_names_of_files(tmp_path: Path) -> None:
    planted = word("planted")
    for before in range(90):
        text = base64.encodebytes(b"x" * before + planted.encode() + b"y" * 90)
        (tmp_path / "file").write_bytes(text.replace(b"\n", b"\r\n"))
        assert search({"planted": planted}, files(tmp_path)), before
    (tmp_path / "file").unlink()
    (tmp_path / ascii_word("name")).mkdir()
    assert not search({"planted": planted}, files(tmp_path))
    named = next(tmp_path.iterdir()).name
    assert Found("name", "utf-8", str(tmp_path / named)) in search({"name": named}, files(tmp_path))


def test_the_mail_holds_every_word() -> None:
    mine = words()
    found = {one.what for one in search(mine.all, [("mail", mine.mail())])}
    assert found == mine.all.keys()


# --- at rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 400_000], ids=["in the database", "in a blob file"])
def test_a_mail_is_nowhere(watched: Watched, secrets: Mapping[str, str], size: int) -> None:
    """Delivered, synchronised, shown, searched for, served by the proxy; every log at DEBUG."""
    mine = words()
    mail = mine.mail(b"filling line\r\n" * (size // 14))
    watched.server.deliver(mail, MARY, sender=f"{mine.sender}@example.net")
    assert not search(mine.all | secrets, watched.places())
    told = watched.user.sync()
    assert told["unreadable"] == told["alarms"] == 0
    shown = watched.user.e2email("search", mine.body)
    assert shown.code == 0
    with watched.user.proxy() as proxy:
        _use(proxy, mine)
        during = search(mine.all | secrets | {"proxy": proxy.password}, watched.places())
    assert not during
    assert not search(mine.all | secrets, watched.places())
    assert b"level=" in watched.server.log.read_bytes()


def _use(proxy: Proxy, mine: Words) -> None:
    """The last mail is read and searched for as a mail program would."""
    with proxy.imap() as client:

        def found() -> list[bytes]:
            client.noop()
            return client.search(None, "HEADER", "X-Whatever", mine.header)[1][0].split()

        (number,) = eventually(found)
        _, fetched = client.fetch(number.decode(), "(ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
        # a flag that changed may be told first
        assert mine.body.encode() in b"".join(literals(fetched))


def _memory(server: Server) -> Iterator[tuple[str, bytes]]:
    """Of the server and its workers."""
    for pid in (server.pid, *processes.children(server.pid)):
        yield from processes.memory(pid)


@pytest.mark.parametrize("size", [0, 400_000], ids=["small", "large"])
def test_a_draft_never_reaches_the_server(watched: Watched, size: int) -> None:
    """Not its disk, not its log, and not its memory either: it is sealed before it goes up."""
    mine, clear = words(), words()
    filling = b"filling line\r\n" * (size // 14)
    with watched.user.proxy() as proxy, proxy.imap() as client:
        assert online(client)
        assert client.append("Drafts", r"(\Draft)", None, mine.mail(filling))[0] == "OK"
        assert client.select("Drafts")[0] == "OK"
        assert mine.body.encode() in b"".join(literals(client.fetch("*", "(BODY.PEEK[])")[1]))
        two = {"body": mine.body, "header": mine.header}  # hundreds of megabytes are searched
        assert not search(two, _memory(watched.server))
    assert not search(mine.all, watched.places())
    # the search finds what is there: a program that stores at the sealed face gives it the mail
    with processes.imaps(watched.server.port("imaps"), watched.server.ca) as direct:
        direct.login(watched.user.address, watched.app_password)
        assert direct.append("Drafts", None, None, clear.mail(filling))[0] == "OK"
        assert search({"body": clear.body}, _memory(watched.server))
    assert not search(clear.all, watched.places())


@pytest.mark.parametrize("size", [0, 400_000], ids=["small", "large"])
def test_what_waits_for_the_server_is_nowhere(
    watched: Watched, secrets: Mapping[str, str], tmp_path: Path, size: int
) -> None:
    """The journal, notices and `status`; mail that is imported, and a file beside the cache; names
    of folders and keywords in the log of the proxy."""
    stored, sent, mine = words(), words(), words()
    folder, keyword, nowhere = (ascii_word(what) for what in ("folder", "keyword", "nowhere"))
    named = {"folder": folder, "keyword": keyword, "nowhere": nowhere}
    filling = b"filling line\r\n" * (size // 14)
    file = tmp_path / "mail.eml"
    file.write_bytes(mine.mail(filling))
    every = {
        f"{what} {number}": text
        for number, one in enumerate((stored, sent, mine))
        for what, text in one.all.items()
    }

    def nothing(proxy: Proxy) -> None:
        assert not search(every | secrets | {"proxy": proxy.password}, watched.places())
        # the server knows the names: of all else it has only ciphertext
        at_home = [*files(watched.user.home), (str(proxy.log), proxy.log.read_bytes())]
        assert not search(named, at_home)

    with watched.user.proxy() as proxy:
        with proxy.imap() as client:
            assert online(client)
            assert client.create(folder)[0] == "OK"
            assert client.append(folder, None, None, stored.mail(filling))[0] == "OK"
            assert client.select(folder)[0] == "OK"
            assert client.select(nowhere)[0] == "NO"
            assert client.select(folder)[0] == "OK"
            watched.server.stop()
            try:
                assert client.store("1", "+FLAGS", keyword)[0] == "OK"
                assert client.copy("1", nowhere)[0] == "NO"
                with suppress(imaplib.IMAP4.error), proxy.imap(folder) as other:
                    other.append(folder, None, None, sent.mail(filling))
                nothing(proxy)
                said = watched.user.e2email("import", file, "--mailbox", folder)
                assert said.code == 0, said.error
                status = watched.user.e2email("status", "--json")
                assert status.json["waiting"] == 2
                told = [("import", said.output), ("status", status.output)]
                assert not search(every | secrets, told)
                nothing(proxy)
            finally:
                watched.server.start(cwd=watched.folder / "tmp")
        with proxy.imap() as client:
            assert eventually(lambda: client.select(folder)[1] == [b"2"])
            assert mine.body.encode() in b"".join(literals(client.fetch("2", "(BODY[])")[1]))
            assert client.delete(folder)[0] == "OK"
        nothing(proxy)
    refused = watched.user.e2email("status")
    assert not search(every | secrets, [("status", refused.output)])


def test_the_clear_fields_are_where_the_threat_model_says(watched: Watched) -> None:
    """The other way round: an address is found, so the search looks at the right files."""
    found = search({"address": MARY}, watched.places())
    names = {Path(one.where).name for one in found}
    assert {"mail.db", "mail.db-wal"} & names


def test_a_dialogue_that_goes_wrong_leaves_no_words(watched: Watched) -> None:
    """What a peer says out of place must not be logged either: it may be its mail or password."""
    mine = words()
    with watched.server.smtp() as client:
        assert client.say(f"MAIL FROM:<{mine.sender}@").startswith("501")
        assert client.say(f"{mine.header} {mine.subject}").startswith("502")
    with watched.server.smtp() as client:
        assert client.say(f"RCPT TO:<{mine.sender}@example.net>").startswith("503")
        assert client.say(f"MAIL FROM:<{mine.sender}@example.net> X={mine.header}")[:3] == "555"
        assert client.say(f"MAIL FROM:<{mine.sender}@example.net>").startswith("250")
        assert client.say(f"RCPT TO:<{mine.header}@{DOMAIN}>").startswith("550")
        assert client.say(f"RCPT TO:<{MARY}>").startswith("250")
        assert client.say("DATA").startswith("354")
        client.data(b"Subject: " + mine.subject.encode() + b"\r\nReceived: x" * 101 + b"\r\n\r\n")
    with processes.imap_line(watched.server.port("imap")) as line:
        line(f"a LOGIN {mine.sender} {mine.body}")
        line(f"b {mine.header}")
    assert not search(mine.all, watched.places())


def test_a_login_that_fails_leaves_no_words(watched: Watched) -> None:
    guess = ascii_word("password")
    name = ascii_word("name")
    port = watched.server.port("imaps")
    with processes.imaps(port, watched.server.ca) as client, pytest.raises(client.error):
        client.login(name, guess)
    assert not search({"guess": guess, "name": name}, watched.places())
    wrong = User(MARY, watched.user.home, watched.server, passphrase=word("wrong"))
    try:
        assert wrong.e2email("sync").code != 0
    finally:
        watched.user.unlocked()  # puts the right passphrase back into its file
    assert not search({"wrong": wrong.passphrase}, watched.places())


# --- after kills ------------------------------------------------------------------------------


def _begin(server: Server) -> Smtp:
    client = server.smtp()
    client.__enter__()
    assert client.say("MAIL FROM:<x@example.net>").startswith("250")
    assert client.say(f"RCPT TO:<{MARY}>").startswith("250")
    assert client.say("DATA").startswith("354")
    return client


def test_killed_in_the_middle_of_20_mb(watched: Watched, secrets: Mapping[str, str]) -> None:
    mine = words()
    mail = mine.mail(b"filling line\r\n" * (20_000_000 // 14))
    client = _begin(watched.server)
    client.raw(mail[:-1_000_000])
    # it has taken them in: nothing more than what fits into the sockets' buffers is on its way
    eventually(lambda: processes.rss(watched.server.pid) > 80 << 20, 10)
    watched.server.kill()
    client.close()
    assert not search(mine.all | secrets, watched.places())
    watched.server.start(cwd=watched.folder / "tmp")
    assert not search(mine.all | secrets, watched.places())


def test_killed_while_a_worker_seals(watched: Watched, secrets: Mapping[str, str]) -> None:
    """The worker holds clear mail; it must not outlive the server either."""
    mine = words()
    client = _begin(watched.server)
    client.raw(mine.mail(b"filling line\r\n" * (20_000_000 // 14)) + b".\r\n")
    pid = watched.server.pid
    workers = eventually(lambda: processes.children(pid), 20, 0.005)
    assert workers
    assert eventually(lambda: any(processes.rss(one) > 60 << 20 for one in workers), 20, 0.005)
    watched.server.kill()
    client.close()
    assert not search(mine.all | secrets, watched.places())
    assert eventually(lambda: not any(processes.alive(one) for one in workers), 30)
    watched.server.start(cwd=watched.folder / "tmp")
    assert not search(mine.all | secrets, watched.places())
    with sqlite3.connect(watched.server.data / "mail.db") as db:
        (kept,) = db.execute("SELECT count(*) FROM body_files").fetchone()
    assert len(list((watched.server.data / "blobs").iterdir())) == kept


def test_a_proxy_that_is_killed_leaves_nothing(watched: Watched) -> None:
    mine = words()
    watched.server.deliver(mine.mail(), MARY)
    with watched.user.proxy() as proxy:
        _use(proxy, mine)
        os.kill(proxy.pid, signal.SIGKILL)
        assert not search(mine.all | {"proxy": proxy.password}, watched.places())
    assert not search(mine.all, watched.places())


# --- core files -------------------------------------------------------------------------------


def _dumps(pid: int) -> bool:
    """Whether a process that dies of SIGSEGV, its limit for core files lifted, is dumped."""
    processes.lift_core_limit(pid)
    os.kill(pid, signal.SIGSEGV)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    return ended.si_code == os.CLD_DUMPED


@pytest.fixture
def dumping(tmp_path: Path) -> None:
    """This machine dumps core at all: an ordinary process shows it."""
    with processes.sleeper(tmp_path) as pid:
        if not _dumps(pid):
            pytest.skip("no process dumps core here, so that ours do not proves nothing")


def test_the_server_dumps_no_core(watched: Watched, dumping: None) -> None:
    """Even where something outside may lift the limit: the process is not dumpable."""
    try:
        assert not _dumps(watched.server.pid)
    finally:
        watched.server.stop()
        watched.server.start(cwd=watched.folder / "tmp")
    cores = [name for name, _ in watched.places() if re.search(r"/core(\.\d+)?\Z", name)]
    assert not cores


def test_the_proxy_dumps_no_core(watched: Watched, dumping: None) -> None:
    with watched.user.proxy() as proxy:
        assert not _dumps(proxy.pid)
