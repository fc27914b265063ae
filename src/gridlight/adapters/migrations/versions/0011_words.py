"""The network's words on runs, a page at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "word_pages",
        sa.Column("page", _COUNTED, primary_key=True, autoincrement=False),
        sa.Column("statement", sa.String(1024), nullable=False),
        sa.Column("closed_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_word_pages_closed_ms", "word_pages", ["closed_ms"])
    op.create_table(
        "words",
        sa.Column("page", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("node_id", sa.String(56), nullable=False),
        sa.Column("part", sa.LargeBinary, nullable=False),
    )
    op.create_index("words_of_node", "words", ["node_id", "page"])


def downgrade() -> None:
    """Remove them."""
    for table in ("words", "word_pages"):
        op.drop_table(table)
