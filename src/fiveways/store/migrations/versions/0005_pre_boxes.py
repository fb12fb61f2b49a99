"""What a mailbox has sent and received is listed from indexes."""

from alembic import op

revision = "0005_pre_boxes"
down_revision = "0004_pre_messaging"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_messages_sender", "messages", ["sender", "id"])
    op.create_index("ix_messages_recipient", "messages", ["recipient", "id"])
