"""The audit's events."""

import sqlalchemy as sa
from alembic import op

revision = "0001_pre_audit"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("correlation_key", sa.BigInteger),
        sa.Column("request_key", sa.BigInteger),
        sa.Column("message_key", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.PrimaryKeyConstraint("chain", "seq", name="pk_audit_events"),
    )
    for key in ("correlation_key", "request_key", "message_key"):
        given = sa.text(f"{key} IS NOT NULL")
        op.create_index(f"ix_audit_events_{key}", "audit_events", [key], sqlite_where=given, postgresql_where=given)
