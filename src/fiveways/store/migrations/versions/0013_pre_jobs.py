"""Jobs of HTTP exchange, and what happened to them."""

import sqlalchemy as sa
from alembic import op

revision = "0013_pre_jobs"
down_revision = "0012_pre_transformed"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("api", sa.Text, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", sa.LargeBinary),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("payload", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    stored = sa.text("payload IS NOT NULL")
    op.create_index("ix_jobs_payload", "jobs", ["payload"], sqlite_where=stored, postgresql_where=stored)
    op.create_index("ix_jobs_expires", "jobs", ["expires"])
    unanswered = sa.text("status = 0")
    op.create_index("ix_jobs_open", "jobs", ["api", "application"], sqlite_where=unanswered, postgresql_where=unanswered)
    op.create_table(
        "job_events",
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("happening", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job", "number", name="pk_job_events"),
    )
    op.create_index("ix_job_events_at", "job_events", ["at"])
