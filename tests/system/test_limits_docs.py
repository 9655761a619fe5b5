"""docs/specs/limits.md and durability.md name tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("page", ["limits.md", "durability.md"])
def test_every_test_that_is_named_is_there(page: str) -> None:
    text = (ROOT / "docs" / "specs" / page).read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    files = set(re.findall(r"`(tests/\S+\.py)`", text))
    assert len(named) >= 5
    assert named <= TESTS, named - TESTS
    assert all((ROOT / path).is_file() for path in files), files


def test_every_row_has_a_test() -> None:
    rows = (ROOT / "docs" / "specs" / "limits.md").read_text().splitlines()
    table = [row for row in rows if row.startswith("| ")][1:]
    assert len(table) > 25
    assert not [row for row in table if "`test_" not in row]
