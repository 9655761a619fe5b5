"""What a record's envelope was before it was sealed anew."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "records", sa.Column("former", sa.LargeBinary(), nullable=False, server_default="")
    )
