"""Tables of the watcher of deposits, in the payer's database: what it saw on the chain, and up to where it has read."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from gridlight.adapters.schema import metadata

deposits = Table(
    "deposits",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("operation", Integer, primary_key=True, autoincrement=False),
    Column("units", BigInteger, nullable=False),
    Column("number", String(20)),
    Column("source", String(80), nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("account_id", String(80)),
    Column("attributed_ms", BigInteger),
    Column("entry", BigInteger),
    Column("refused", Text),
    Index("deposits_to_do", "entry", "seen_ms"),
)
"""Each payment in the chain's own coin: the number that it named (64 bits, so as text), whose that is, and the entry of
the ledger that credits it. `attributed_ms` where an administrator said whose it is.
"""

deposit_cursors = Table(
    "deposit_cursors",
    metadata,
    Column("account", String(56), primary_key=True),
    Column("cursor", String(20), nullable=False),
)
"""Of each account on the chain that was watched."""
