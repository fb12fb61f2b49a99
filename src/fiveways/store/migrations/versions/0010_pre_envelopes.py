"""A delivery may carry what else its method must know to make the attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0010_pre_envelopes"
down_revision = "0009_pre_leftovers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("envelope", sa.LargeBinary()))
