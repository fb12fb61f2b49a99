"""What became of values that were transformed, by day."""

import sqlalchemy as sa
from alembic import op

revision = "0012_pre_transformed"
down_revision = "0011_pre_user_sessions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transformed",
        sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("api", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("fate", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "api", "kind", "fate", "path", name="pk_transformed"),
    )
