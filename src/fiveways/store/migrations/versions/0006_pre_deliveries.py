"""Deliveries: what is promised, what happened to each, what is due, who works on it, and what waits for a person."""

import sqlalchemy as sa
from alembic import op

revision = "0006_pre_deliveries"
down_revision = "0005_pre_boxes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("payload", sa.Text),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_at", "deliveries", ["at"])
    op.create_table(
        "delivery_events",
        sa.Column("delivery", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("happening", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("delivery", "number", name="pk_delivery_events"),
    )
    op.create_table(
        "delivery_queue",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("delivery", sa.Text, nullable=False),
        sa.Column("ready", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_delivery_queue"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_queue_due", "delivery_queue", ["queue", "due"])
    op.create_index("ix_delivery_queue_expires", "delivery_queue", ["queue", "expires"])
    op.create_index("ix_delivery_queue_position", "delivery_queue", ["queue", "key", "position"])
    op.create_index("ix_delivery_queue_aside", "delivery_queue", ["queue", "key", "due"])
    op.create_index("ix_delivery_queue_delivery", "delivery_queue", ["delivery"], unique=True)
    op.create_table(
        "delivery_leases",
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("queue", "key", name="pk_delivery_leases"),
    )
    op.create_table(
        "delivery_slots",
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("receiver", "number", name="pk_delivery_slots"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("delivery", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("delivery", name="pk_dead_letters"),
    )
    op.create_index("ix_dead_letters_queue_at", "dead_letters", ["queue", "at"])
