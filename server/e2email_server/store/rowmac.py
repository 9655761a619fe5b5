"""MACs over the rows that decide who may read and who may log in.

The key lies outside the database, so whoever can write rows only cannot make one that is used.
What it does not see: a removed row, or an old row put back (docs/specs/store.md).
"""

from collections.abc import Sequence

from e2email_crypto.token import Field, row_mac, verify_row
from e2email_server.store.errors import RowTampered


class RowMacs:
    """Makes and checks the `mac` column. Never shows its key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.make("probe", ())  # a key of the wrong length is refused at start, not at first use

    def __repr__(self) -> str:
        return "<RowMacs>"

    def make(self, table: str, fields: Sequence[Field]) -> bytes:
        return row_mac(self._key, table, fields)

    def check(self, table: str, fields: Sequence[Field], mac: bytes) -> None:
        """Raises RowTampered, naming the table only."""
        if not verify_row(self._key, table, fields, mac):
            raise RowTampered(f"a row of {table} does not carry its MAC")
