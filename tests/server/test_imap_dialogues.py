"""The sealed face as two client libraries see it: loopback, TLS, app passwords, either store."""

import asyncio
import imaplib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import imapclient
import pytest

from e2email_protocol.sealed.render import parse_envelope_field, parse_rendered, render
from support.gpg import keyring
from support.sealed_face import House, client_tls, clock, house, imaplib_client, with_client

MAIL = b"From: Carol <carol@example.net>\r\nSubject: eggs\r\n\r\nAt nine?\r\n"
ENVELOPES = "(BODY.PEEK[HEADER.FIELDS (E2EMAIL-ENVELOPE)])"


@pytest.fixture(params=["memory", "sql"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path if request.param == "sql" else None) as running:
        yield running


def literals(answer: tuple[str, list[object]]) -> list[bytes]:
    """The literal of each FETCH reply."""
    assert answer[0] == "OK", answer
    return [part[1] for part in answer[1] if isinstance(part, tuple)]


@pytest.mark.parametrize("starttls", [False, True], ids=["implicit", "starttls"])
async def test_imaplib_reads_a_mailbox(server: House, starttls: bool) -> None:
    large = MAIL + b"x" * 70 + b"\r\n" * 200_000
    records = await server.deliver(MAIL, MAIL, large)

    def read(client: imaplib.IMAP4) -> tuple[bytes, list[bytes], list[bytes], bytes]:
        assert client.select()[1] == [b"3"]
        skeleton = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE EMAILID)")[1][0]
        fields = literals(client.uid("FETCH", "1:*", ENVELOPES))
        bodies = literals(client.uid("FETCH", "1:*", "(BODY.PEEK[])"))
        (part,) = literals(client.uid("FETCH", "3", "(BODY.PEEK[]<100000.5000>)"))
        return skeleton, fields, bodies, part

    skeleton, fields, bodies, part = await with_client(server, read, starttls=starttls)
    when = datetime.fromtimestamp(clock(), UTC).strftime("%d-%b-%Y %H:%M:%S +0000").encode()
    email_id = b"E" + records[0].record_id.hex().encode()
    assert skeleton.startswith(b"1 (UID 1 FLAGS () INTERNALDATE ")
    assert when.lstrip(b"0") in skeleton
    assert skeleton.endswith(b" EMAILID (%b))" % email_id)
    whole = [render(record).read(0, 1 << 30) for record in records]
    assert bodies == whole
    assert part == whole[2][100_000:105_000]
    for field, record in zip(fields, records, strict=True):
        read_back = parse_envelope_field(field)
        assert read_back is not None
        assert (read_back.record_id, read_back.message) == (record.record_id, record.envelope)


async def test_gpg_opens_what_is_fetched(server: House) -> None:
    await server.deliver(MAIL)
    with keyring() as gpg:
        gpg.ok("--import", stdin=server.resident.identity.tsk)
        (second,) = literals(
            await with_client(server, lambda c: (c.select(), c.fetch("1", "(BODY.PEEK[2])"))[1])
        )
        text = gpg.ok("--decrypt", stdin=second)
        assert MAIL.split(b"\r\n\r\n")[1] in text
        assert b"Subject: eggs" in text
        (whole,) = literals(
            await with_client(server, lambda c: (c.select(), c.fetch("1", "(BODY.PEEK[])"))[1])
        )
        assert gpg.ok("--decrypt", stdin=whole) == text


async def test_imapclient_changes_a_mailbox(server: House) -> None:
    await server.deliver(MAIL, MAIL, MAIL)
    password = await server.password()

    def work() -> None:
        port = server.imaps.endpoints[0].port
        with imapclient.IMAPClient("127.0.0.1", port, ssl_context=client_tls()) as client:
            client.login(server.resident.address, password)
            names = {name for _, _, name in client.list_folders()}
            assert names == {"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"}
            client.create_folder("Käse/2026")
            client.subscribe_folder("Käse/2026")
            client.select_folder("INBOX")
            client.add_flags([1, 2], [imapclient.SEEN, b"$label1"])
            assert set(client.get_flags([1])[1]) == {b"$label1", b"\\Seen"}
            assert client.search(["KEYWORD", "$label1"]) == [1, 2]
            assert client.search(["SINCE", "1-Jan-2020", "LARGER", 100]) == [1, 2, 3]
            client.copy([1], "Käse/2026")
            client.move([2], "Trash")
            client.delete_messages([3])
            client.uid_expunge([3])
            assert client.search() == [1]
            status = client.folder_status("Trash", ["MESSAGES", "UNSEEN", "UIDNEXT", "SIZE"])
            assert status[b"MESSAGES"] == 1
            assert status[b"UNSEEN"] == 0
            assert client.folder_status("Käse/2026")[b"MESSAGES"] == 1
            client.rename_folder("Käse/2026", "Brot")
            client.delete_folder("Brot")
            with pytest.raises(imapclient.exceptions.IMAPClientError, match="CANNOT"):
                client.search(["TEXT", "eggs"])

    await asyncio.to_thread(work)


async def test_imapclient_parses_what_is_not_a_literal(server: House) -> None:
    (record,) = await server.deliver(MAIL)
    password = await server.password()

    def work() -> dict[bytes, object]:
        port = server.imaps.endpoints[0].port
        with imapclient.IMAPClient("127.0.0.1", port, ssl_context=client_tls()) as client:
            client.login(server.resident.address, password)
            client.select_folder("INBOX", readonly=True)
            return client.fetch([1], ["ENVELOPE", "BODYSTRUCTURE", "BODY", "RFC822.SIZE"])[1]

    found = await asyncio.to_thread(work)
    assert found[b"RFC822.SIZE"] == render(record).size
    assert found[b"ENVELOPE"].subject == b"[...]"
    assert found[b"ENVELOPE"].from_[0].host == b"e2email.invalid"
    parts, subtype, parameters = found[b"BODYSTRUCTURE"][:3]
    assert [part[:2] for part in parts] == [
        (b"application", b"pgp-encrypted"),
        (b"application", b"octet-stream"),
    ]
    assert subtype == b"encrypted"
    assert parameters[-2:] == (b"boundary", record.boundary)
    assert found[b"BODY"][:2] == ([part[:7] for part in parts], b"encrypted")


async def test_a_copy_is_the_same_email(server: House) -> None:
    (record,) = await server.deliver(MAIL)

    def copy(client: imaplib.IMAP4) -> list[bytes]:
        client.select()
        client.uid("COPY", "1", "Archive")
        client.select("Archive")
        ids = client.uid("FETCH", "1", "(EMAILID)")[1][0]
        return [ids, *literals(client.uid("FETCH", "1", "(BODY[])"))]

    ids, whole = await with_client(server, copy)
    assert b"EMAILID (E%b)" % record.record_id.hex().encode() in ids
    assert parse_rendered(whole) == record


async def test_append_with_imaplib(server: House) -> None:
    def append(client: imaplib.IMAP4) -> tuple[object, ...]:
        when = '" 7-Feb-1994 21:52:25 -0800"'
        first = client.append("Drafts", r"(\Draft $mine)", when, MAIL)
        client.select("Drafts")
        meta = client.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE)")[1][0]
        (whole,) = literals(client.fetch("1", "(BODY.PEEK[])"))
        again = client.append("Archive", "", None, whole)
        return first, meta, whole, again

    first, meta, whole, again = await with_client(server, append)
    assert first[0] == again[0] == "OK"
    assert b"APPENDUID" in first[1][0]
    assert b"$mine" in meta
    assert b'" 8-Feb-1994 05:52:25 +0000"' in meta
    record = parse_rendered(whole)
    assert record is not None
    mail = server.resident.open(record)
    assert mail.received == MAIL
    assert mail.envelope.envelope.arrival.origin == "append:unknown"
    assert mail.envelope.envelope.arrival.verdicts == ()


async def test_idle_hears_of_new_mail(server: House) -> None:
    password = await server.password()
    loop = asyncio.get_running_loop()
    idling = asyncio.Event()

    def idle() -> bytes:
        with imaplib_client(server, password) as client:
            client.select()
            client.send(b"i IDLE\r\n")
            assert client.readline().startswith(b"+ ")
            loop.call_soon_threadsafe(idling.set)
            heard = client.readline()
            client.send(b"DONE\r\n")
            while not client.readline().startswith(b"i OK"):
                pass
            return heard

    heard = asyncio.create_task(asyncio.to_thread(idle))
    await idling.wait()
    await server.deliver(MAIL)
    assert await heard == b"* 1 EXISTS\r\n"


async def test_no_login_without_tls(server: House) -> None:
    password = await server.password()

    def clear() -> None:
        with imaplib.IMAP4("127.0.0.1", server.imap.endpoints[0].port) as client:
            assert "LOGINDISABLED" in client.capabilities
            with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
                client.login(server.resident.address, password)

    await asyncio.to_thread(clear)
