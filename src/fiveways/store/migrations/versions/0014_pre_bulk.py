"""Bulk transfer: partners' files, transfers, what was set aside of them, and the batches that go to sinks."""

import sqlalchemy as sa
from alembic import op

revision = "0014_pre_bulk"
down_revision = "0013_pre_jobs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bulk_contents",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kept", sa.Integer, nullable=False),
        sa.Column("blake3", sa.LargeBinary),
        sa.Column("sha256", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
        sa.Column("data_key", sa.LargeBinary),
        sa.Column("wrapped_by", sa.Text, nullable=False),
        sa.Column("secured", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_bulk_contents"),
    )
    op.create_index("ix_bulk_contents_at", "bulk_contents", ["at"])
    op.create_index("ix_bulk_contents_wrapped_by", "bulk_contents", ["wrapped_by"])
    op.create_table(
        "bulk_blocks",
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("content", "number", name="pk_bulk_blocks"),
    )
    op.create_index("ix_bulk_blocks_payload", "bulk_blocks", ["payload"])
    op.create_table(
        "bulk_names",
        sa.Column("partner", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.Column("partial", sa.Integer, nullable=False),
        sa.Column("released", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("partner", "folder", "name", name="pk_bulk_names"),
    )
    op.create_index("ix_bulk_names_content", "bulk_names", ["content"])
    op.create_table(
        "bulk_transfers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("feed", sa.Text, nullable=False),
        sa.Column("partner", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("arrived", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("blake3", sa.LargeBinary),
        sa.Column("claims", sa.LargeBinary),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("set_aside", sa.BigInteger, nullable=False),
        sa.Column("reasons", sa.LargeBinary),
        sa.Column("good", sa.Text),
        sa.Column("examination", sa.LargeBinary),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bulk_transfers"),
    )
    op.create_index("ix_bulk_transfers_blake3", "bulk_transfers", ["blake3"])
    op.create_index("ix_bulk_transfers_content", "bulk_transfers", ["content"])
    op.create_index("ix_bulk_transfers_feed", "bulk_transfers", ["feed", "at"])
    op.create_index("ix_bulk_transfers_good", "bulk_transfers", ["good"])
    op.create_table(
        "bulk_transfer_events",
        sa.Column("transfer", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("happening", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("transfer", "number", name="pk_bulk_transfer_events"),
    )
    op.create_table(
        "bulk_set_aside",
        sa.Column("transfer", sa.Text, nullable=False),
        sa.Column("record", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("reasons", sa.LargeBinary, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("mended", sa.LargeBinary),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("transfer", "record", name="pk_bulk_set_aside"),
    )
    op.create_index("ix_bulk_set_aside_state", "bulk_set_aside", ["transfer", "state"])
    op.create_table(
        "bulk_batches",
        sa.Column("transfer", sa.Text, nullable=False),
        sa.Column("sink", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("head", sa.BigInteger, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("end", sa.BigInteger, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("transfer", "sink", "number", name="pk_bulk_batches"),
    )
    op.create_index("ix_bulk_batches_content", "bulk_batches", ["content"])
    op.create_table(
        "bulk_errand_files",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("errand", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("tail", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("cipher", sa.Text, nullable=False),
        sa.Column("host_key", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bulk_errand_files"),
    )
    op.create_index("ix_bulk_errand_files_errand", "bulk_errand_files", ["errand", "path"])
    op.create_table(
        "bulk_errand_events",
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("happening", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("file", "number", name="pk_bulk_errand_events"),
    )
    op.create_table(
        "bulk_partners",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.PrimaryKeyConstraint("name", name="pk_bulk_partners"),
    )
