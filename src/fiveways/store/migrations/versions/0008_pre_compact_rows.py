"""Fewer trees to write for each message: rows lie in the tree of their key (SQLite), and no index repeats the order of ids."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0008_pre_compact_rows"
down_revision = "0007_pre_directory"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_messages_at", "messages")
    if op.get_context().dialect.name == "sqlite":
        named = sa.text("local_id != ''")
        _compact("replays", ["namespace", "value"])
        op.create_index("ix_replays_until", "replays", ["until"])
        _compact("messages", ["id"])
        op.create_index("ix_messages_local_id", "messages", ["sender", "local_id"], sqlite_where=named)
        op.create_index("ix_messages_sender", "messages", ["sender", "id"])
        op.create_index("ix_messages_recipient", "messages", ["recipient", "id"])
        _compact("message_events", ["message", "place"])
        _compact("message_chunks", ["message", "number"])
    stored = sa.text("payload IS NOT NULL")
    op.create_index("ix_message_chunks_payload", "message_chunks", ["payload"], sqlite_where=stored, postgresql_where=stored)


def _compact(name: str, key: Sequence[str]) -> None:
    """Make a table anew as one without row ids of its own; its indexes are gone with the old one."""
    columns = [
        sa.Column(each["name"], each["type"], nullable=each["nullable"], autoincrement=False)
        for each in sa.inspect(op.get_bind()).get_columns(name)
    ]
    made = op.create_table(f"{name}_compact", *columns, sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"), sqlite_with_rowid=False)
    names = [column.name for column in columns]
    old = sa.table(name, *(sa.column(each) for each in names))
    op.execute(made.insert().from_select(names, sa.select(old)))
    op.drop_table(name)
    op.rename_table(f"{name}_compact", name)
