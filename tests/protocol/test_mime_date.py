"""The Date field (tests/vectors/mime/date.json)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2email_protocol.mime.date import parse_date

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "mime" / "date.json"
CASES = json.loads(VECTORS.read_text())["cases"]


@pytest.mark.parametrize(("value", "moment"), CASES, ids=[case[0] for case in CASES])
def test_date(value: str, moment: list[int] | None) -> None:
    assert parse_date(value.encode("latin-1")) == (moment and tuple(moment))


@given(st.lists(st.sampled_from(["1", "99", " ", "Jan", ":", ",", "(", "-", "+0000", "PM", "²"])))
def test_no_date_fails(pieces: list[str]) -> None:
    parse_date("".join(pieces).encode("latin-1"))
