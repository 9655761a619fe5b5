"""POP3 behind the driver on loopback: poplib and other programs, TLS in both ways, the corpus."""

import asyncio
import poplib
import shutil
import ssl
from dataclasses import replace

import pytest
import trustme

from e2email_protocol.pop3.connection import Connection
from e2email_protocol.pop3.context import Settings
from e2email_protocol.pop3.errors import Refused
from e2email_protocol.serve import Face, Limits, listen
from support.corpus import messages
from support.pop3 import MAIL, Inbox, MemorySession, inbox

CA = trustme.CA()
CERTIFICATE = CA.issue_cert("localhost", "127.0.0.1", common_name="localhost")
SERVER = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CERTIFICATE.configure_cert(SERVER)
LIMITS = Limits(tick=0.05)
SMUGGLER = b"Subject: x\r\n\r\nhello\n.\r\n+OK 5 octets\r\nSubject: faked\r\n\r\n.\r\n"


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


class House:
    """A listener; `mode`: "tls", "stls" or "clear"."""

    def __init__(self, box: Inbox, mode: str, limits: Limits = LIMITS):
        self.inbox, self.mode, self.limits = box, mode, limits
        self.reports: list[BaseException] = []

    def engine(self, peer):
        settings = Settings(stls=self.mode == "stls", clear_login=self.mode == "clear")
        session = MemorySession(self.inbox, 50_000)
        return Connection(session, settings, tls=peer.tls, report=self.reports.append)

    async def __aenter__(self):
        face = Face(
            self.engine,
            b"-ERR [SYS/TEMP] too many connections\r\n",
            self.reports.append,
            lambda: SERVER,
            implicit=self.mode == "tls",
        )
        self.listener = await listen(face, "127.0.0.1", 0, self.limits)
        self.port = self.listener.port
        return self

    async def __aexit__(self, *_):
        await self.listener.close(grace=1)
        assert not self.inbox.held

    def faults(self) -> list[BaseException]:
        return [error for error in self.reports if not isinstance(error, Refused)]


def opened(port: int, mode: str) -> poplib.POP3:
    if mode == "tls":
        return poplib.POP3_SSL("localhost", port, context=client_context(), timeout=20)
    client = poplib.POP3("localhost", port, timeout=20)
    if mode == "stls":
        assert "USER" not in client.capa()
        with pytest.raises(poplib.error_proto):
            client.user("bob@example.test")
        client.stls(client_context())
    return client


def logged_in(port: int, mode: str = "tls") -> poplib.POP3:
    client = opened(port, mode)
    client.user("bob@example.test")
    client.pass_("secret")
    return client


def use_poplib(port: int, mode: str) -> None:
    client = logged_in(port, mode)
    assert client.capa()["SASL"] == ["PLAIN"]
    assert client.stat() == (3, 2 * len(MAIL) + len(SMUGGLER))
    assert client.uidl()[1] == [b"1 7.1", b"2 7.2", b"3 7.3"]
    assert client.uidl(2) == b"+OK 2 7.2"
    client.retr(2)
    assert b"\r\n".join([*client.retr(1)[1], b""]) == MAIL
    client.top(2, 5)
    assert client.top(3, 1)[1][-1] == b"Eggs at nine?"
    client.dele(1)
    client.rset()
    client.dele(2)
    assert client.list()[1] == [b"%d %d" % (n, len(MAIL)) for n in (1, 3)]
    assert client.quit() == b"+OK bye"


@pytest.mark.parametrize("mode", ["tls", "stls", "clear"])
async def test_poplib(mode):
    async with House(inbox(MAIL, SMUGGLER, MAIL), mode) as house:
        await asyncio.to_thread(use_poplib, house.port, mode)
        assert sorted(house.inbox.mails) == [1, 3]
        assert house.faults() == []


async def test_poplib_says_utf8():
    def use(port: int) -> None:
        client = opened(port, "tls")
        client.utf8()
        client.user("bob@example.test")
        client.pass_("secret")
        client.quit()

    async with House(inbox(), "tls") as house:
        await asyncio.to_thread(use, house.port)


async def test_the_corpus_comes_back_exactly(monkeypatch):
    """poplib gives lines; of mail whose line ends are all CRLF they are the mail."""
    mails = [octets for _, octets in messages()]
    monkeypatch.setattr(poplib, "_MAXLINE", 1 << 20)

    def use(port: int) -> None:
        client = logged_in(port)
        assert client.stat() == (len(mails), sum(map(len, mails)))
        for number, (line, mail) in enumerate(zip(client.list()[1], mails, strict=True), 1):
            assert line == b"%d %d" % (number, len(mail))
            _, lines, _ = client.retr(number)
            assert b"\r\n".join([*lines, b""]) == mail, number
        client.quit()

    async with House(inbox(*mails), "tls") as house:
        await asyncio.to_thread(use, house.port)
        assert house.faults() == []


async def test_a_second_session_is_turned_away_until_the_first_quits():
    def use(port: int) -> None:
        first = logged_in(port)
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            logged_in(port)
        first.quit()
        logged_in(port).quit()

    async with House(inbox(MAIL), "tls") as house:
        await asyncio.to_thread(use, house.port)


async def test_a_mail_that_breaks_off_is_an_error_to_poplib():
    box = inbox(b"line\r\n" * 100_000)
    box.breaks_after = 200_000

    def use(port: int) -> None:
        client = logged_in(port)
        with pytest.raises(poplib.error_proto):
            client.retr(1)
        client.close()

    async with House(box, "tls") as house:
        await asyncio.to_thread(use, house.port)
        assert len(house.reports) == 1


async def test_a_program_that_hangs_up_frees_the_mailbox_and_removes_nothing():
    def use(port: int) -> None:
        client = logged_in(port)
        client.dele(1)
        client.close()

    async with House(inbox(MAIL), "tls") as house:
        await asyncio.to_thread(use, house.port)
        while house.inbox.held:
            await asyncio.sleep(0.01)
        assert sorted(house.inbox.mails) == [1]


@pytest.mark.parametrize("login", [False, True])
async def test_who_says_nothing_is_left_without_a_word(login):
    quick = replace(LIMITS, login=0.2, idle=0.2, linger=0.1, tick=0.02)
    async with House(inbox(MAIL), "clear", quick) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        assert await reader.readline() == b"+OK ready\r\n"
        if login:
            writer.write(b"USER bob@example.test\r\nPASS secret\r\nDELE 1\r\n")
            for _ in range(3):
                await reader.readline()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        while house.inbox.held:
            await asyncio.sleep(0.01)
        assert sorted(house.inbox.mails) == [1]


# other programs, where they are installed


async def run(*command: str, env: dict[str, str] | None = None) -> tuple[int | None, str]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode("utf-8", "replace")


def all_is_fetched(house: House, folder, count: int) -> list[bytes]:
    """The programs deliver into a Maildir and remove what they delivered."""
    assert house.faults() == []
    assert house.inbox.mails == {}
    found = [path.read_bytes() for path in (folder / "new").iterdir()]
    assert len(found) == count
    assert sum(b"\nSubject: breakfast" in one for one in found) == 2
    # the smuggled end and the faked mail after it are inside the one mail, where they were
    assert sum(b"hello" in one and b"Subject: faked" in one for one in found) == 1
    return found


def maildir(folder):
    for name in ("new", "cur", "tmp"):
        (folder / "mail" / name).mkdir(parents=True)
    CA.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "mail"


def private(path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("mode", ["tls", "stls"])
async def test_fetchmail(tmp_path, mode):
    mail = maildir(tmp_path)
    async with House(inbox(MAIL, SMUGGLER, MAIL), mode) as house:
        config = private(
            tmp_path / "rc",
            f"poll localhost service {house.port} protocol pop3 uidl\n"
            f'user "bob@example.test" password "secret" fetchall nokeep\n'
            f'{"ssl" if mode == "tls" else ""} sslcertfile "{tmp_path}/ca.pem" sslcertck\n'
            f"mda \"/bin/sh -c 'cat > $(mktemp {mail}/new/XXXXXX)'\"\n",
        )
        code, said = await run(
            "fetchmail", "--nodetach", "-f", config, env={"FETCHMAILHOME": str(tmp_path)}
        )
        assert code == 0, said
        all_is_fetched(house, mail, 3)


@pytest.mark.parametrize("mode", ["tls", "stls"])
async def test_mpop(tmp_path, mode):
    mail = maildir(tmp_path)
    async with House(inbox(MAIL, SMUGGLER, MAIL), mode) as house:
        config = private(
            tmp_path / "rc",
            f"account x\nhost localhost\nport {house.port}\nuser bob@example.test\n"
            f"password secret\ntls on\ntls_starttls {'off' if mode == 'tls' else 'on'}\n"
            f"tls_trust_file {tmp_path}/ca.pem\ndelivery maildir {mail}\nkeep off\n"
            f"uidls_file {tmp_path}/uidls\n",
        )
        code, said = await run("mpop", "-C", config, "x", env={"HOME": str(tmp_path)})
        assert code == 0, said
        all_is_fetched(house, mail, 3)


async def test_getmail(tmp_path):
    mail = maildir(tmp_path)
    async with House(inbox(MAIL, SMUGGLER, MAIL), "tls") as house:
        private(
            tmp_path / "rc",
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\n"
            f"port = {house.port}\nusername = bob@example.test\npassword = secret\n"
            f"ca_certs = {tmp_path}/ca.pem\n[destination]\ntype = MDA_external\npath = /bin/sh\n"
            f'arguments = ("-c", "cat > $(mktemp {mail}/new/XXXXXX)")\n'
            "allow_root_commands = true\n[options]\ndelete = true\n",
        )
        code, said = await run("getmail", "--getmaildir", str(tmp_path), "--rcfile", "rc")
        assert code == 0, said
        all_is_fetched(house, mail, 3)
