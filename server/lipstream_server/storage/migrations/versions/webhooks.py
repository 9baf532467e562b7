"""Webhook addresses of clips, and deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clips", sa.Column("webhook_url", sa.Text))
    op.create_table(
        "webhook_deliveries",
        sa.Column("clip", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt", sa.Float),
    )
    op.create_index("deliveries_by_time", "webhook_deliveries", ["state", "next_attempt"])


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_column("clips", "webhook_url")
