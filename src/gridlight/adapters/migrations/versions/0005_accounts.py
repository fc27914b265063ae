"""Accounts of requesters, their keys, and what they used of each day."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.String(20), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("rate_per_minute", sa.Integer),
        sa.Column("burst", sa.Integer, nullable=False),
        sa.Column("requests_per_day", sa.BigInteger),
    )
    op.create_index("accounts_by_time", "accounts", ["created_ms"])
    op.create_table(
        "account_keys",
        sa.Column("key_id", sa.String(12), primary_key=True),
        sa.Column("account_id", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(128), nullable=False),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("revoked_ms", sa.BigInteger),
    )
    op.create_index("account_keys_of_account", "account_keys", ["account_id", "created_ms"])
    op.create_table(
        "account_usage",
        sa.Column("account_id", sa.String(20), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    for table in ("account_usage", "account_keys", "accounts"):
        op.drop_table(table)
