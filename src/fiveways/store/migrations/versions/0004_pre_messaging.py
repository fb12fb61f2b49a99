"""Messages, their events, chunks and inboxes; what a single-use value was used for."""

import sqlalchemy as sa
from alembic import op

revision = "0004_pre_messaging"
down_revision = "0003_pre_revocations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replays", sa.Column("purpose", sa.LargeBinary))
    op.create_table(
        "messages",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("local_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
    )
    op.create_index("ix_messages_at", "messages", ["at"])
    named = sa.text("local_id != ''")
    op.create_index("ix_messages_local_id", "messages", ["sender", "local_id"], sqlite_where=named, postgresql_where=named)
    op.create_table(
        "message_events",
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("place", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("message", "place", name="pk_message_events"),
    )
    op.create_table(
        "message_chunks",
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("payload", sa.Text),
        sa.PrimaryKeyConstraint("message", "number", name="pk_message_chunks"),
    )
    op.create_table(
        "inbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("mailbox", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_inbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_mailbox_position", "inbox", ["mailbox", "position"])
    op.create_index("ix_inbox_message", "inbox", ["message"], unique=True)
