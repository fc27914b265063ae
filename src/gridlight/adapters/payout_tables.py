"""Tables on where operators are paid: what operators said, what the payer took over, and what it was given.

Gateways write what operators said; the rest is the payer's, whose database may be another.
"""

from sqlalchemy import BigInteger, Boolean, Column, String, Table, Text, true

from gridlight.adapters.schema import metadata

payout_statements = Table(
    "payout_statements",
    metadata,
    Column("operator", String(56), primary_key=True),
    Column("serial", BigInteger, nullable=False),
    Column("statement", Text, nullable=False),
)
"""Of each operator the newest, as it was signed."""

payout_own_addresses = Table(
    "payout_own_addresses",
    metadata,
    Column("operator", String(80), primary_key=True),
    Column("serial", BigInteger, nullable=False),
    Column("destination", String(80)),
    Column("threshold_units", BigInteger, nullable=False),
    Column("refused", String(64)),
    Column("taken_ms", BigInteger, nullable=False),
)
"""What the payer took over of them; without a destination nothing is paid."""

payout_addresses = Table(
    "payout_addresses",
    metadata,
    Column("operator", String(80), primary_key=True),
    Column("rail", String(16), nullable=False),
    Column("destination", String(80), nullable=False),
    Column("refused", String(64)),
    Column("is_logged", Boolean, nullable=False, server_default=true()),
)
"""What administrators named, for operators who never said."""
