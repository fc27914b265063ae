"""Deposits: the number that payments name an account by, and what the watcher has seen on the chain."""

from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give every account its number, as `messages.accounts.deposit_number` does, and make the watcher's tables."""
    op.add_column("accounts", sa.Column("deposit_number", sa.BigInteger))
    accounts = sa.table("accounts", sa.column("account_id", sa.String), sa.column("deposit_number", sa.BigInteger))
    connection = op.get_bind()
    for account in connection.execute(sa.select(accounts.c.account_id)).scalars().all():
        row = sa.update(accounts).where(accounts.c.account_id == account)
        connection.execute(row.values(deposit_number=_number(account)))
    op.create_index("accounts_by_deposit_number", "accounts", ["deposit_number"], unique=True)
    op.create_table(
        "deposits",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("operation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("number", sa.String(20)),
        sa.Column("source", sa.String(80), nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.String(80)),
        sa.Column("attributed_ms", sa.BigInteger),
        sa.Column("entry", sa.BigInteger),
        sa.Column("refused", sa.Text),
    )
    op.create_index("deposits_to_do", "deposits", ["entry", "seen_ms"])
    op.create_table(
        "deposit_cursors",
        sa.Column("account", sa.String(56), primary_key=True),
        sa.Column("cursor", sa.String(20), nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("deposit_cursors")
    op.drop_table("deposits")
    op.drop_index("accounts_by_deposit_number", "accounts")
    op.drop_column("accounts", "deposit_number")


def _number(account: str) -> int:
    return int.from_bytes(sha256(b"gridlight.deposit.v1:" + account.encode("ascii")).digest()[:8], "big") >> 1
