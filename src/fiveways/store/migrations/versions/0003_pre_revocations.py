"""Revoked access tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0003_pre_revocations"
down_revision = "0002_pre_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revocations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("jti", sa.Text, nullable=False),
        sa.Column("issued_before", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revocations"),
    )
    op.create_index("ix_revocations_recorded_at", "revocations", ["recorded_at"])
    op.create_index("ix_revocations_until", "revocations", ["until"])
