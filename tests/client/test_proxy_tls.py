"""The proxy's certificate, password and ports: constrained, kept encrypted, renewed in time."""

import asyncio
import datetime as dt
import imaplib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from imapclient import IMAPClient

from e2email_client.failure import LocalFault
from e2email_client.local import cache
from e2email_client.proxy import ports, run, secrets, tls
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


def test_secrets_stay_and_the_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    state = cache.open_state(tmp_path / "state.db", KEY)
    first = secrets.obtain(state, NOW)
    assert len(first.password) == 26
    assert secrets.obtain(state, NOW + dt.timedelta(days=700)) == first
    later = secrets.obtain(state, NOW + tls.VALID - dt.timedelta(days=20))
    assert later.password == first.password
    assert later.certificate != first.certificate
    assert secrets.obtain(state, NOW) != later  # made by a clock that was wrong: not valid yet
    assert first.password not in repr(first)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (first.password.encode(), first.certificate.key.splitlines()[1], b"PRIVATE KEY"):
        assert secret not in written
    state.close()


async def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = secrets.ProxySecrets("x", tls.make(NOW))
        with pytest.raises(LocalFault) as fault:
            await run._listen([], found, ports.Ports(port, port, port, port), [])
    assert str(port) in str(fault.value)
    if Path("/proc/net/tcp").exists():
        assert "python" in str(fault.value) or "pytest" in str(fault.value)


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
