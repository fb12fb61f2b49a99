"""What back ends work on behind sync-wrap façades, so that a consumer that asks again joins the work under way."""

import sqlalchemy as sa
from alembic import op

revision = "0010_pre_pending"
down_revision = "0009_pre_leftovers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pending",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("api", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("cookies", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False, index=True),
        sqlite_with_rowid=False,
    )
