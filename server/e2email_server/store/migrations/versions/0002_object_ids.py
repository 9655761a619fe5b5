"""Ids of mailboxes that survive renaming (RFC 8474), and since when a message lies where it lies.

Mail that is there already counts from now: whoever deletes by that time (RFC 8514) deletes later
than meant, not earlier.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "mailboxes", sa.Column("object_id", sa.String(), nullable=False, server_default="")
    )
    op.execute("UPDATE mailboxes SET object_id = 'M' || lower(hex(randomblob(16)))")
    op.add_column(
        "messages", sa.Column("saved", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute("UPDATE messages SET saved = CAST(strftime('%s', 'now') AS INTEGER)")
