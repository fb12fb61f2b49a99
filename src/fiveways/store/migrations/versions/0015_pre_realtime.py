"""Channels of real time, what was said in them, and who is there."""

import sqlalchemy as sa
from alembic import op

revision = "0015_pre_realtime"
down_revision = "0014_pre_bulk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_bulk_transfer_events_at", "bulk_transfer_events", ["at"])
    op.create_table(
        "realtime_channels",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("top", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_realtime_channels"),
    )
    op.create_index("ix_realtime_channels_at", "realtime_channels", ["at"])
    op.create_table(
        "realtime_messages",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("happening", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("about", sa.BigInteger, nullable=False),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("channel", "number", name="pk_realtime_messages"),
    )
    called = sa.text("client_id != ''")
    op.create_index(
        "uq_realtime_messages_client_id", "realtime_messages", ["channel", "sender", "client_id"],
        unique=True, sqlite_where=called, postgresql_where=called,
    )  # fmt: skip
    op.create_index("ix_realtime_messages_at", "realtime_messages", ["at"])
    op.create_table(
        "realtime_members",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("read", sa.BigInteger, nullable=False),
        sa.Column("reached", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel", "member", name="pk_realtime_members"),
    )
    op.create_index("ix_realtime_members_member", "realtime_members", ["member"])
    op.create_table(
        "realtime_values",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("channel", "key", name="pk_realtime_values"),
    )
    op.create_table(
        "realtime_attachments",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("payload", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_realtime_attachments"),
    )
    op.create_index("ix_realtime_attachments_channel", "realtime_attachments", ["channel"])
    stored = sa.text("payload IS NOT NULL")
    op.create_index(
        "ix_realtime_attachments_payload", "realtime_attachments", ["payload"], sqlite_where=stored, postgresql_where=stored
    )
    op.create_table(
        "realtime_presence",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("info", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("channel", "client", name="pk_realtime_presence"),
    )
    op.create_index("ix_realtime_presence_node", "realtime_presence", ["node"])
    op.create_table(
        "realtime_nodes",
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_realtime_nodes"),
    )
