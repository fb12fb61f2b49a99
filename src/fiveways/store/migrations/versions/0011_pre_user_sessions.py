"""Sessions of people on whose behalf applications act."""

import sqlalchemy as sa
from alembic import op

revision = "0011_pre_user_sessions"
down_revision = "0010_pre_envelopes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "user_sessions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("access", sa.Text, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("sid", sa.Text, nullable=False),
        sa.Column("assurance", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("userinfo", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("code", sa.LargeBinary),
        sa.Column("code_until", sa.BigInteger, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("challenge", sa.Text, nullable=False),
        sa.Column("family", sa.LargeBinary),
        sa.Column("refresh", sa.LargeBinary),
        sa.Column("refresh_until", sa.BigInteger, nullable=False),
        sa.Column("refreshes", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user_sessions"),
    )
    op.create_index("ix_user_sessions_code", "user_sessions", ["code"], unique=True)
    op.create_index("ix_user_sessions_family", "user_sessions", ["family"], unique=True)
    op.create_index("ix_user_sessions_provider_sid", "user_sessions", ["provider", "sid"])
    op.create_index("ix_user_sessions_application", "user_sessions", ["application"])
    op.create_index("ix_user_sessions_ends_at", "user_sessions", ["ends_at"])
