"""docs/specs/threat-model.md tells of every column: the first promise, held against the schema."""

import re
from pathlib import Path

from e2email_server.store.schema import metadata

DOCUMENT = Path(__file__).parents[2] / "docs/specs/threat-model.md"
BLOCK = re.compile(r"<!-- clear-fields:begin -->\n(.*?)<!-- clear-fields:end -->", re.DOTALL)
ROW = re.compile(r"\| `(\w+\.\w+)` \| ([^|]+) \| ([^|]+) \|")


def rows() -> list[tuple[str, str, str]]:
    block = BLOCK.search(DOCUMENT.read_text("utf-8"))
    assert block is not None
    _head, _rule, *lines = block[1].splitlines()
    found = [ROW.fullmatch(line) for line in lines]
    return [(match[1], match[2], match[3]) for match in found if match is not None] + [
        (line, "", "") for line, match in zip(lines, found, strict=True) if match is None
    ]


def test_every_column_is_in_the_table_once() -> None:
    schema = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
    ]
    assert sorted(name for name, _, _ in rows()) == sorted(schema)


def test_what_only_the_owner_reads() -> None:
    """A column moved out of this set is a broken promise, whatever the table says of it."""
    owners = {name for name, _, who in rows() if who.startswith("the account's owner")}
    assert owners == {"boxes.octets", "records.envelope", "bodies.octets"}
