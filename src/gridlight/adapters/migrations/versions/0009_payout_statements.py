"""Payout statements: where operators say that they are paid, and what the payer took over of it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; who is an operator of the network is asked by an index."""
    op.create_table(
        "payout_statements",
        sa.Column("operator", sa.String(56), primary_key=True),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
    )
    op.create_table(
        "payout_own_addresses",
        sa.Column("operator", sa.String(80), primary_key=True),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("destination", sa.String(80)),
        sa.Column("threshold_units", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.String(64)),
        sa.Column("taken_ms", sa.BigInteger, nullable=False),
    )
    op.add_column("payout_addresses", sa.Column("is_logged", sa.Boolean, nullable=False, server_default=sa.true()))
    op.create_index("nodes_of_operator", "nodes", ["operator"])


def downgrade() -> None:
    """Remove them."""
    op.drop_index("nodes_of_operator", "nodes")
    op.drop_column("payout_addresses", "is_logged")
    op.drop_table("payout_own_addresses")
    op.drop_table("payout_statements")
