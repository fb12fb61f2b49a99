"""Whether a row names a payload is looked up in indexes: asked of every payload, once a day."""

import sqlalchemy as sa
from alembic import op

revision = "0009_pre_leftovers"
down_revision = "0008_pre_compact_rows"
branch_labels = None
depends_on = None


def upgrade() -> None:
    stored = sa.text("payload IS NOT NULL")
    for table in ("duplicates", "deliveries"):
        op.create_index(f"ix_{table}_payload", table, ["payload"], sqlite_where=stored, postgresql_where=stored)
