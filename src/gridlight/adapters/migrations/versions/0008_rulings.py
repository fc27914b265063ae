"""Rulings: what administrators ruled of nodes and operators, each in its own line."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "rulings",
        sa.Column("ruling", _COUNTED, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(56), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("nodes", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("rulings_of_key", "rulings", ["key", "ruling"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("rulings")
