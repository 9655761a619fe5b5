"""aioimaplib, which quotes nothing and takes a reply apart by lines, at the proxy."""

import ssl

import aioimaplib

from support.programs import Desk, letter


async def test_aioimaplib_reads_flags_files_and_waits(desk: Desk) -> None:
    context = ssl.create_default_context(cafile=str(desk.proxy.certificate))
    client = aioimaplib.IMAP4_SSL("localhost", desk.port("imaps"), ssl_context=context)
    await client.wait_hello_from_server()
    assert (await client.login(desk.address, desk.password)).result == "OK"
    assert (await client.select("INBOX")).result == "OK"

    found = await client.uid_search("SUBJECT mulberry SUBJECT letter")
    assert found.lines[0] == b""
    found = await client.search("BODY mulberry07")
    assert found.lines[0] == b"8"
    fetched = await client.uid("fetch", "3", "(FLAGS BODY.PEEK[])")
    assert bytes(fetched.lines[1]) == desk.views()[2]

    assert (await client.uid("store", "3", "+FLAGS", "(\\Flagged Garden)")).result == "OK"
    assert {"\\Flagged", "Garden"} <= desk.flags("letter 02")
    assert (await client.uid("copy", "4", "Archive")).result == "OK"
    assert desk.subjects("Archive") == ["letter 03"]
    assert (await client.uid("move", "5", "Trash")).result == "OK"
    assert desk.subjects("Trash") == ["letter 04"]
    assert (await client.append(letter(50), "Drafts", "\\Draft")).result == "OK"
    assert desk.subjects("Drafts") == ["letter 50"]

    idling = await client.idle_start(timeout=60)
    desk.proxy.user.server.deliver(letter(60), desk.address)
    told: list[bytes] = []
    while not any(line.endswith(b"EXISTS") for line in told):
        told += await client.wait_server_push(60)
    client.idle_done()
    await idling
    assert b"12 EXISTS" in told  # twelve, less the one that was moved, and the new one
    await client.logout()
