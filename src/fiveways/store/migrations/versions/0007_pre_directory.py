"""Mailboxes and workflows that are registered while running."""

import sqlalchemy as sa
from alembic import op

revision = "0007_pre_directory"
down_revision = "0006_pre_deliveries"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "directory_entries",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("password", sa.LargeBinary),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_directory_entries"),
    )
    op.create_index("ix_directory_entries_version", "directory_entries", ["version"])
