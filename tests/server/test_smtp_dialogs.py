"""SMTP sessions as transcripts: one file, one behaviour, readable without knowing Python."""

import ssl
from pathlib import Path

import pytest
import trustme

from support.smtp_dialog import play

DIALOGS = sorted((Path(__file__).parent / "dialogs").glob("*.cmy"))


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.mark.parametrize("script", DIALOGS, ids=lambda path: path.stem)
async def test_dialog(script: Path, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    await play(script, *tls)
