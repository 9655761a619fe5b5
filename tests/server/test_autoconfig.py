"""Mozilla autoconfig: what a mail program is told, as the account chooses."""

import asyncio
import socket
from collections.abc import AsyncIterator
from http.client import HTTPSConnection
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

from e2email_client.api import Login, Server, tls_context
from e2email_client.failure import Refused
from e2email_protocol import account as m
from e2email_server.api.autoconfig import of_proxy, of_server
from support.account_server import ALICE, BOB, Running, account_server, split

PATHS = ("/.well-known/autoconfig/mail/config-v1.1.xml", "/mail/config-v1.1.xml")
ALICES = Login.afresh(ALICE, split().auth)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as made:
        await made.register()
        await made.register(BOB)
        yield made


def fetch(server: Server, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPSConnection("127.0.0.1", server.port)
    raw = socket.create_connection(("127.0.0.1", server.port), 20)
    connection.sock = tls_context(server).wrap_socket(raw, server_hostname=server.name)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()
    finally:
        connection.close()


async def told(running: Running, address: str | None, path: str = PATHS[0]) -> bytes:
    asked = path if address is None else f"{path}?emailaddress={quote(address, safe='')}"
    status, headers, octets = await asyncio.to_thread(fetch, running.server, asked)
    assert status == 200, octets
    assert headers["content-type"].startswith("text/xml")
    assert headers["cache-control"] == "private, max-age=3600"
    return octets


async def choose(running: Running, choice: str) -> None:
    wish = m.Autoconfig(choice)
    await asyncio.to_thread(running.api.call, "PUT", "/v1/autoconfig", m.Nothing, wish, ALICES)


def servers(octets: bytes) -> list[tuple[str, ...]]:
    """(element, type, hostname, port, socketType) of each, as Thunderbird reads them."""
    root = ET.fromstring(octets)
    assert root.tag == "clientConfig"
    assert root.attrib == {"version": "1.1"}
    (provider,) = root
    assert provider.find("domain") is not None
    found = []
    for one in provider:
        if one.tag in ("incomingServer", "outgoingServer"):
            values = [one.findtext(name, "") for name in ("hostname", "port", "socketType")]
            assert one.findtext("username") == "%EMAILADDRESS%"
            assert one.findtext("authentication") == "password-cleartext"
            found.append((one.tag, one.attrib["type"], *values))
    return found


PROXY = [
    ("incomingServer", "imap", "localhost", "1993", "SSL"),
    ("incomingServer", "imap", "localhost", "1143", "STARTTLS"),
    ("incomingServer", "pop3", "localhost", "1995", "SSL"),
    ("incomingServer", "pop3", "localhost", "1110", "STARTTLS"),
    # Thunderbird takes no file without one
    ("outgoingServer", "smtp", "localhost", "1465", "SSL"),
]
SEALED = [
    ("incomingServer", "imap", "mail.example.test", "1993", "SSL"),
    ("incomingServer", "imap", "mail.example.test", "1143", "STARTTLS"),
    ("outgoingServer", "smtp", "mail.example.test", "1465", "SSL"),
    ("outgoingServer", "smtp", "mail.example.test", "1587", "STARTTLS"),
]


@pytest.mark.parametrize("path", PATHS)
async def test_the_account_chooses(running: Running, path: str) -> None:
    assert servers(await told(running, ALICE, path)) == PROXY
    await choose(running, "sealed")
    assert servers(await told(running, "Alice@Example.TEST", path)) == SEALED
    assert servers(await told(running, BOB, path)) == PROXY
    await choose(running, "none")
    status, _, _ = await asyncio.to_thread(fetch, running.server, f"{path}?emailaddress={ALICE}")
    assert status == 404
    await choose(running, "proxy")
    assert servers(await told(running, ALICE, path)) == PROXY


async def test_whether_there_is_an_account_is_not_told(running: Running) -> None:
    answers = {
        await told(running, address)
        for address in (
            ALICE, BOB, "nobody@example.test", "x", "", None, "<&\"'>@example.test", "ö" * 3000,
        )
    }  # fmt: skip
    assert len(answers) == 1


async def test_who_may_choose(running: Running) -> None:
    wish = m.Autoconfig("sealed")
    wrong = Login.afresh(ALICE, split(passphrase="not the one").auth)
    for login in (None, wrong, Login.device("e2d_" + "a" * 32)):
        with pytest.raises(Refused):
            await asyncio.to_thread(
                running.api.call, "PUT", "/v1/autoconfig", m.Nothing, wish, login
            )
    made = await asyncio.to_thread(
        running.api.call, "POST", "/v1/tokens", m.NewToken,
        m.TokenRequest(m.DEVICE, "laptop", m.SCOPES), ALICES,
    )  # fmt: skip
    device = Login.device(made.token)
    await asyncio.to_thread(running.api.call, "PUT", "/v1/autoconfig", m.Nothing, wish, device)
    found = await asyncio.to_thread(
        running.api.call, "GET", "/v1/autoconfig", m.Autoconfig, None, device
    )
    assert found.choice == "sealed"
    assert servers(await told(running, ALICE)) == SEALED


async def test_a_choice_that_is_none(running: Running) -> None:
    class Other(m.Autoconfig):
        def encode(self) -> bytes:
            return b'{"choice": "everything"}'

    with pytest.raises(Refused) as refused:
        await asyncio.to_thread(
            running.api.call, "PUT", "/v1/autoconfig", m.Nothing, Other("proxy"), ALICES
        )
    assert refused.value.code == "bad-request"


def test_what_stands_in_the_file_is_escaped_and_never_without_a_way_out() -> None:
    info = m.ServerInfo('a"<&>b', 1, b"p" * 32, (), m.Ports(None, 993, None, None, None, None))
    for made in (of_proxy(info, ["<&>.test"]), of_server(info, ["<&>.test"])):
        provider = ET.fromstring(made.body)[0]
        assert provider.attrib["id"] == 'a"<&>b'
        assert provider.findtext("domain") == "<&>.test"
        found = servers(made.body)
        assert [one[0] for one in found][-1] == "outgoingServer"
