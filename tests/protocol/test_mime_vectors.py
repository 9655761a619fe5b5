"""Small messages against what Dovecot answers for them (tests/vectors/mime/dovecot.json)."""

import json
from pathlib import Path

import pytest

from e2email_protocol.mime import scan
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.structure import structure
from support.imap_text import parsed

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "mime" / "dovecot.json"
CASES = json.loads(VECTORS.read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_reads_as_recorded(case: dict) -> None:
    octets = case["message"].encode("latin-1")
    root = scan(octets)
    expected = {key: case[key] for key in ("envelope", "body", "bodystructure")}
    expected |= case.get("ours", {})
    answers = {
        "envelope": envelope(octets, root.start, root.body),
        "body": structure(octets, root, extended=False),
        "bodystructure": structure(octets, root),
    }
    for key, text in expected.items():
        assert parsed(answers[key]) == parsed(text.encode("latin-1")), key
    assert case["size"] == len(octets)
