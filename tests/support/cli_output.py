"""What the output of commands is held against: the specification, and a terminal's safety."""

import re
import unicodedata
from pathlib import Path

SPEC = Path(__file__).parents[2] / "docs" / "specs" / "cli.md"


def assert_harmless(out: bytes) -> None:
    """No control but the line feed, nothing that reorders or hides."""
    for one in out.decode():
        assert one == "\n" or unicodedata.category(one) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}, out


def documented(heading: str) -> set[str]:
    """The JSON keys that a section of the specification names."""
    section = SPEC.read_text(encoding="utf-8").split(f"\n## `e2email {heading}", 1)[1]
    said = section.split("\n## ", 1)[0].split("\nJSON:", 1)[1]
    rows = re.findall(r"^\| (`[^|]*)\|", said, re.MULTILINE)
    cells = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    return cells | set(re.findall(r'"([a-z_]+)"[,}\s]', said))


def keys(value: object) -> set[str]:
    """All keys of an answer; verdicts are named by the server, so only theirs is left out."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    inner = (keys(each) for name, each in value.items() if name != "verdicts")
    return set(value).union(*inner)
