"""Payouts: channels, batches, their transactions, who is paid where, the audit log, and the payer's books."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "payout_channels",
        sa.Column("account", sa.String(56), primary_key=True),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "payout_batches",
        sa.Column("batch_id", sa.String(80), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("day", sa.BigInteger, nullable=False),
        sa.Column("drawn_units", sa.BigInteger, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("payout_batches_active", "payout_batches", ["is_active"])
    op.create_index("payout_batches_by_day", "payout_batches", ["day"])
    op.create_table(
        "payout_transactions",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("batch_id", sa.String(80), nullable=False),
        sa.Column("channel", sa.String(56), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("max_time_s", sa.BigInteger, nullable=False),
        sa.Column("xdr", sa.Text, nullable=False),
        sa.Column("signed_xdr", sa.Text),
    )
    op.create_index("payout_transactions_of_sequence", "payout_transactions", ["channel", "sequence"])
    _make_tables_beside()


def _make_tables_beside() -> None:
    """Addresses, the audit log and the books."""
    op.create_table(
        "payout_addresses",
        sa.Column("operator", sa.String(80), primary_key=True),
        sa.Column("rail", sa.String(16), nullable=False),
        sa.Column("destination", sa.String(80), nullable=False),
        sa.Column("refused", sa.String(64)),
    )
    op.create_table(
        "payout_actions",
        sa.Column("action", _COUNTED, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(56), nullable=False),
        sa.Column("batch_id", sa.String(80), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_table(
        "payout_entries",
        sa.Column("seq", _COUNTED, primary_key=True, autoincrement=False),
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("payout_entries_by_key", "payout_entries", ["key"], unique=True)


def downgrade() -> None:
    """Remove them."""
    for table in ("entries", "actions", "addresses", "transactions", "batches", "channels"):
        op.drop_table(f"payout_{table}")
