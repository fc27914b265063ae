"""The ledger's entries, and receipts with the roots of their sheets."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "entries",
        sa.Column("seq", _COUNTED, primary_key=True, autoincrement=False),
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("postings", sa.LargeBinary, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("posted_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("entries_by_key", "entries", ["key"], unique=True)
    op.create_table(
        "sheets",
        sa.Column("sheet", _COUNTED, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("statement", sa.String(1024)),
        sa.Column("closed_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "receipts",
        sa.Column("sheet", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("node_id", sa.String(56), nullable=False),
        sa.Column("attempt", sa.String(16), nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
    )
    op.create_index("receipts_of_node", "receipts", ["node_id", "sheet"])
    op.create_index("receipts_of_attempt", "receipts", ["attempt"])


def downgrade() -> None:
    """Remove them."""
    for table in ("receipts", "sheets", "entries"):
        op.drop_table(table)
