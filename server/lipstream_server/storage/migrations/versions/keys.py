"""API keys, and owners of avatars and clips."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("sessions", sa.Integer),
        sa.Column("clips", sa.Integer),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("created", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.add_column("avatars", sa.Column("owner", sa.Text))
    op.add_column("clips", sa.Column("owner", sa.Text))
    op.create_index("clips_by_owner", "clips", ["owner", "number"])


def downgrade() -> None:
    op.drop_index("clips_by_owner", "clips")
    op.drop_column("clips", "owner")
    op.drop_column("avatars", "owner")
    op.drop_table("api_keys")
