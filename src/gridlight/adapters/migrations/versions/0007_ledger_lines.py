"""Which entries of the ledger concern whom; those that are there already are gone through once."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_READ_AT_ONCE = 10_000


def upgrade() -> None:
    """Make the table, and fill it."""
    lines = op.create_table(
        "ledger_lines",
        sa.Column("owner", sa.String(96), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    entries = sa.table("entries", sa.column("seq", sa.BigInteger), sa.column("postings", sa.LargeBinary))
    connection, seq = op.get_bind(), 0
    while True:
        query = sa.select(entries).where(entries.c.seq > seq).order_by(entries.c.seq).limit(_READ_AT_ONCE)
        rows = connection.execute(query).all()
        found = [{"owner": owner, "seq": row.seq} for row in rows for owner in _owners(row.postings)]
        if found:
            connection.execute(lines.insert(), found)
        if len(rows) < _READ_AT_ONCE:
            return
        seq = rows[-1].seq


def _owners(postings: bytes) -> list[str]:
    names = (account for account, _ in json.loads(postings))
    return sorted({name.rpartition(":")[0] for name in names if name.startswith(("req:", "op:"))})


def downgrade() -> None:
    """Remove it."""
    op.drop_table("ledger_lines")
