"""Tables of the network's words on runs: signed pages, and each node's part of them."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from gridlight.adapters.schema import COUNTED, metadata

word_pages = Table(
    "word_pages",
    metadata,
    Column("page", COUNTED, primary_key=True, autoincrement=False),
    Column("statement", String(1024), nullable=False),
    Column("closed_ms", BigInteger, nullable=False, index=True),
)
"""Signed roots of the network's words on runs; kept until nobody needs them any more."""

words = Table(
    "words",
    metadata,
    Column("page", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("node_id", String(56), nullable=False),
    Column("part", LargeBinary, nullable=False),
    Index("words_of_node", "node_id", "page"),
)
