"""The proxy's certificate, password and ports: constrained, kept encrypted, renewed in time."""

import asyncio
import datetime as dt
import errno
import imaplib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from imapclient import IMAPClient

from e2email_client.failure import LocalFault
from e2email_client.local import cache
from e2email_client.proxy import listening as listening_module
from e2email_client.proxy import ports, secrets, tls
from e2email_client.proxy.config import Config
from e2email_client.proxy.doors import Doors
from e2email_client.proxy.listening import Listeners
from e2email_client.proxy.passwords import Passwords
from e2email_protocol.serve import Face, Limits, Listener, listen
from support.home import PASSWORD, Home, eventually, home, listening
from support.sealed_face import TRACE, house

NOW = dt.datetime.now(dt.UTC)
KEY = bytes(range(32))
MAIL = b"From: bob@example.net\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"


def test_the_authority_is_constrained_and_its_key_is_gone() -> None:
    made = tls.make(NOW)
    authority = x509.load_pem_x509_certificate(made.authority)
    leaf = x509.load_pem_x509_certificate(made.certificate)
    leaf.verify_directly_issued_by(authority)
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert {str(one.value) for one in limits.value.permitted_subtrees} == {
        "localhost",
        "127.0.0.1/32",
        "::1/128",
    }
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    key = serialization.load_pem_private_key(made.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == leaf.public_key() != authority.public_key()
    assert b"PRIVATE" not in made.authority + made.certificate
    assert "PRIVATE" not in repr(made)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_openssl_accepts_the_certificate_and_nothing_else_of_the_authority(tmp_path: Path) -> None:
    made = tls.make(NOW)
    (tmp_path / "ca").write_bytes(made.authority)
    (tmp_path / "leaf").write_bytes(made.certificate)

    def verify(leaf: str, *more: str) -> bool:
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca", *more, leaf]
        return (
            subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
        )

    assert verify("leaf", "-verify_hostname", "localhost")
    assert verify("leaf", "-verify_ip", "127.0.0.1")
    assert not verify("leaf", "-verify_hostname", "example.com")
    # had somebody kept the authority's key: a name outside its constraints is not believed
    signing = ec.generate_private_key(ec.SECP256R1())
    authority = tls._authority(signing, NOW)
    (tmp_path / "ca").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name, believed in (("localhost", True), ("example.com", False)):
        (tmp_path / "leaf").write_bytes(_signed(signing, name))
        assert verify("leaf") is believed


def _signed(signing: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    ours = tls._leaf(key, signing, tls._authority(signing, NOW), NOW)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ours.issuer)
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(hours=1))
        .not_valid_after(NOW + dt.timedelta(days=1))
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
    )
    for one in ours.extensions:
        if not isinstance(one.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(one.value, one.critical)
    return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Callable[[str], Passwords]]:
    """Accounts of a machine, by name."""
    with ExitStack() as stack:
        made: dict[str, Passwords] = {}

        def account(name: str) -> Passwords:
            if name not in made:
                state = cache.open_state(tmp_path / f"{name}.db", KEY)
                stack.callback(state.close)
                made[name] = Passwords(state, KEY)
            return made[name]

        yield account


def test_secrets_stay_and_the_certificate_is_renewed_in_time(known, tmp_path: Path) -> None:
    accounts = [known("alice")]
    first = secrets.obtain(accounts, NOW)
    (password,) = first.passwords
    assert len(password) == 36  # 160 bits and a prefix
    assert secrets.obtain(accounts, NOW + dt.timedelta(days=700)) == first
    later = secrets.obtain(accounts, NOW + tls.VALID - dt.timedelta(days=20))
    assert later.passwords == first.passwords
    assert later.certificate != first.certificate
    # made by a clock that was wrong: not valid yet
    assert secrets.obtain(accounts, NOW).certificate not in (first.certificate, later.certificate)
    assert password not in repr(first)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (password.encode(), first.certificate.key.splitlines()[1], b"PRIVATE KEY"):
        assert secret not in written


def test_one_certificate_stays_when_accounts_come_and_go(known) -> None:
    alice, bob, carol = known("alice"), known("bob"), known("carol")
    first = secrets.obtain([alice], NOW).certificate
    # bob ran by himself for a while: what he had then is given up, it is younger
    alone = secrets.obtain([bob], NOW + dt.timedelta(days=1)).certificate
    assert alone != first
    later = NOW + dt.timedelta(days=2)
    for accounts in ([alice, bob], [carol, bob, alice], [bob], [carol], [bob, carol]):
        assert secrets.obtain(accounts, later).certificate == first
    assert len({secrets.obtain([one], later).passwords for one in (alice, bob, carol)}) == 3


def test_a_certificate_for_more_than_loopback_is_made_only_when_told(known) -> None:
    accounts = [known("alice"), known("bob")]
    first = secrets.obtain(accounts, NOW).certificate
    with pytest.raises(secrets.Uncovered) as fault:
        secrets.obtain(accounts, NOW, ["mail.home.arpa", "192.0.2.7"])
    assert "mail.home.arpa" in str(fault.value)
    assert secrets.obtain(accounts, NOW).certificate == first
    wider = secrets.obtain(accounts, NOW, fault.value.names, renew=True).certificate
    assert wider.names == ("mail.home.arpa", "192.0.2.7")
    authority = x509.load_pem_x509_certificate(wider.authority)
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = {str(one.value) for one in limits.permitted_subtrees or ()}
    assert permitted == {
        "localhost", "mail.home.arpa", "127.0.0.1/32", "192.0.2.7/32", "::1/128",
    }  # fmt: skip
    assert secrets.obtain(accounts, NOW, ["192.0.2.7"]).certificate == wider
    # what it was made for stays when it is about to end
    renewed = secrets.obtain(accounts, NOW + tls.VALID).certificate
    assert renewed.names == wider.names


def listeners(port: int, *bind: str) -> tuple[Listeners, dict[str, Face]]:
    config = Config(bind=bind or None, ports=ports.Ports(port, None, None, None))
    return Listeners(config), Doors([]).faces(config, tls.make(NOW))


async def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made, faces = listeners(port)
        with pytest.raises(LocalFault) as fault:
            await made.start(faces)
    assert str(port) in str(fault.value)
    if Path("/proc/net/tcp").exists():
        assert "python" in str(fault.value) or "pytest" in str(fault.value)
    await made.close(0)


def reached(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 5):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_both_kinds_of_loopback_have_the_same_port() -> None:
    made, faces = listeners(0)
    await made.start(faces)
    port = made.ports.imap
    assert port
    assert made.ports.pop3 is None
    assert [await asyncio.to_thread(reached, host, port) for host in ("127.0.0.1", "::1")] == [
        True,
        True,
    ]
    await made.close(0)
    # taken on one of them only: nothing is left open on the other
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        again, faces = listeners(port)
        with pytest.raises(LocalFault):
            await again.start(faces)
        assert not await asyncio.to_thread(reached, "127.0.0.1", port)
        await again.close(0)


async def test_a_machine_without_ipv6_listens_on_what_it_has(monkeypatch) -> None:
    async def only_ipv4(face: Face, host: str, port: int, limits: Limits) -> Listener:
        if ":" in host:
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        return await listen(face, host, port, limits)

    monkeypatch.setattr(listening_module, "listen", only_ipv4)
    made, faces = listeners(0)
    await made.start(faces)
    assert await asyncio.to_thread(reached, "127.0.0.1", made.ports.imap or 0)
    await made.close(0)
    # where somebody asked for it by name it is an error
    made, faces = listeners(0, "127.0.0.1", "::1")
    with pytest.raises(LocalFault, match="::1"):
        await made.start(faces)
    await made.close(0)


def test_a_free_port_has_no_holder() -> None:
    assert ports.holder(1) == "it is taken by another program"


# programs


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    async with house() as server:
        await server.deliver(MAIL)
        async with home(server, tmp_path, monkeypatch) as made, listening(made):
            await made.shown(1)
            yield made


def context(here: Home) -> ssl.SSLContext:
    assert here.certificate is not None
    return ssl.create_default_context(cadata=here.certificate.authority.decode())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_imaplib_on_both_ports(here: Home, host: str) -> None:
    def read(starttls: bool) -> bytes:
        if starttls:
            client = imaplib.IMAP4(host, here.ports.imap)
            client.starttls(context(here))
        else:
            client = imaplib.IMAP4_SSL(host, here.ports.imaps, ssl_context=context(here))
        with client:
            client.login("Alice@example.test", PASSWORD)
            client.select("INBOX")
            return client.fetch("1", "(BODY.PEEK[])")[1][0][1]

    for starttls in (False, True):
        assert await asyncio.to_thread(read, starttls) == TRACE + MAIL


async def test_imapclient(here: Home) -> None:
    def work() -> None:
        with IMAPClient("localhost", here.ports.imaps, ssl_context=context(here)) as client:
            client.login("alice@example.test", PASSWORD)
            client.create_folder('Größe "2"')
            client.select_folder("INBOX")
            client.move([1], 'Größe "2"')
            assert client.folder_status('Größe "2"', ["MESSAGES"]) == {b"MESSAGES": 1}
            client.select_folder('Größe "2"')
            assert client.search(["SUBJECT", "GRÜSSE"], "UTF-8") == [1]
            envelope = client.fetch([1], ["ENVELOPE", "RFC822.SIZE"])[1]
            assert envelope[b"RFC822.SIZE"] == len(TRACE + MAIL)
            assert envelope[b"ENVELOPE"].subject == b"=?utf-8?q?gr=C3=BC=C3=9Fe?="

    await asyncio.to_thread(work)


async def test_no_login_in_clear(here: Home) -> None:
    def refused() -> bool:
        with imaplib.IMAP4("127.0.0.1", here.ports.imap) as client:
            assert "LOGINDISABLED" in client.capabilities
            try:
                client.login("alice@example.test", PASSWORD)
            except imaplib.IMAP4.error:
                return True
        return False

    assert await asyncio.to_thread(refused)


async def test_idle_tells_of_new_mail(here: Home) -> None:
    reader, writer = await asyncio.open_connection("localhost", here.ports.imaps, ssl=context(here))
    for line in (f'a LOGIN alice@example.test "{PASSWORD}"', "b SELECT INBOX", "c IDLE"):
        writer.write(line.encode() + b"\r\n")
    await asyncio.wait_for(reader.readuntil(b"+ idling\r\n"), 20)
    await here.server.deliver(MAIL)
    assert await asyncio.wait_for(reader.readuntil(b"* 2 EXISTS\r\n"), 20)
    writer.close()
    await eventually(lambda: here.live.online)
