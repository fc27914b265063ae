"""The database's tables, in SQL that SQLite and PostgreSQL both take; migrations/ makes and changes them. Where
operators are paid is in payout_tables.py, what requesters paid in deposit_tables.py, the network's words are in
word_tables.py.

The journal is the truth; all tables after it and its snapshots are read models, written in the same transaction as the
record that changed them; but for accounts, their keys and usage, and payout statements, which gateways write and no
journal holds.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    text,
)

metadata = MetaData()

journal = Table(
    "journal",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("now_ms", BigInteger, nullable=False),
    Column("core_version", Integer, nullable=False),
    Column("record", LargeBinary, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("core_version", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("submitted_ms", BigInteger, nullable=False),
    Column("submitted", LargeBinary, nullable=False),
    Column("ended_ms", BigInteger),
    Column("outcome", LargeBinary),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node_id", String(56), primary_key=True),
    Column("operator", String(56), nullable=False),
    Column("agent_version", String(64), nullable=False),
    Column("cpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("is_online", Boolean, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("workloads", String, nullable=False),
    Column("tasks_answered", BigInteger, nullable=False),
    Column("hold", String(16)),
    Index("nodes_of_operator", "operator"),
)

COUNTED = BigInteger().with_variant(Integer(), "sqlite")
"""A key that counts up. As INTEGER it is SQLite's own row number, and needs no index beside the table."""

_IS_OPEN = text("verification = 'provisional'")

commits = Table(
    "commits",
    metadata,
    Column("commit", COUNTED, primary_key=True, autoincrement=False),
    Column("job_id", String(32), nullable=False),
    Column("node_id", String(56), nullable=False),
    Column("assignment_id", String(16), nullable=False),
    Column("output_digest", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("audit_ppm", Integer, nullable=False),
    Column("is_audited", Boolean, nullable=False),
    Column("is_bound", Boolean, nullable=False),
    Column("verification", String(16), nullable=False),
    Column("output", LargeBinary),
    Column("committed_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index("commits_of_job", "job_id"),
    Index("commits_of_epoch", "epoch", "commit"),
    # A node's answers are settled while they are provisional: those few are indexed, not all that it ever gave.
    Index("commits_open", "node_id", "commit", sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN),
)

checks = Table(
    "checks",
    metadata,
    Column("check", COUNTED, primary_key=True, autoincrement=False),
    Column("commit", BigInteger, nullable=False),
    Column("role", String(16), nullable=False),
    Column("node_id", String(56)),
    Column("primary_id", String(56)),
    Column("outcome", String(16), nullable=False),
    Column("output_digest", String(64)),
    Column("at_ms", BigInteger, nullable=False),
    Index("checks_of_commit", "commit", "check"),
    Index("checks_by_node", "node_id", "check"),
    Index("checks_of_primary", "primary_id", "check"),
)

faults = Table(
    "faults",
    metadata,
    Column("node_id", String(56), primary_key=True),
    Column("commit", BigInteger, primary_key=True, autoincrement=False),
    Column("role", String(16), primary_key=True),
    Column("grade", String(16), nullable=False),
    Column("said", String(64), nullable=False),
    Column("reference", String(64), nullable=False),
    Column("settled_by", String(56)),
    Column("are_probes_wrong", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("faults_by_time", "at_ms"),
    Index("faults_of_node", "node_id", "at_ms"),
)

standings = Table(
    "standings",
    metadata,
    Column("node_id", String(56), primary_key=True),
    Column("tier", String(16), nullable=False),
    Column("clean_run", BigInteger, nullable=False),
    Column("checks_passed", BigInteger, nullable=False),
    Column("faults", Integer, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("commitment", String(64), nullable=False),
    Column("secret", String(64)),
    Column("committed_ms", BigInteger, nullable=False),
    Column("began_ms", BigInteger),
    Column("revealed_ms", BigInteger),
)

network = Table(
    "network",
    metadata,
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("trust", LargeBinary, nullable=False),
)
"""One row: what the last start said of the network."""

workloads = Table(
    "workloads",
    metadata,
    Column("workload", String(160), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("rollout_percent", Integer, nullable=False),
    Column("expires_ms", BigInteger),
    Column("manifest", LargeBinary),
    Column("publication", String(1024)),
    Column("countersignature", String(1024)),
    Column("changed_ms", BigInteger, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("seq", COUNTED, primary_key=True, autoincrement=False),
    Column("key", String(160), nullable=False),
    Column("postings", LargeBinary, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("posted_ms", BigInteger, nullable=False),
    Index("entries_by_key", "key", unique=True),
)
"""The ledger: only ever added to. Balances follow from it, and are nowhere else: no row is written for every task."""

ledger_lines = Table(
    "ledger_lines",
    metadata,
    Column("owner", String(96), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
)
"""Which entries concern a requester or an operator (`req:ID`, `op:ID`): a statement costs its own length."""

sheets = Table(
    "sheets",
    metadata,
    Column("sheet", COUNTED, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("statement", String(1024)),
    Column("closed_ms", BigInteger, nullable=False),
)
"""Roots of receipts; signed where the coordinator has the network's key."""

receipts = Table(
    "receipts",
    metadata,
    Column("sheet", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("node_id", String(56), nullable=False),
    Column("attempt", String(16), nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Index("receipts_of_node", "node_id", "sheet"),
    Index("receipts_of_attempt", "attempt"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", String(20), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("rate_per_minute", Integer),
    Column("burst", Integer, nullable=False),
    Column("requests_per_day", BigInteger),
    Column("deposit_number", BigInteger),
    Index("accounts_by_time", "created_ms"),
    Index("accounts_by_deposit_number", "deposit_number", unique=True),
)

account_keys = Table(
    "account_keys",
    metadata,
    Column("key_id", String(12), primary_key=True),
    Column("account_id", String(20), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scopes", String(128), nullable=False),
    Column("label", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Index("account_keys_of_account", "account_id", "created_ms"),
)

account_usage = Table(
    "account_usage",
    metadata,
    Column("account_id", String(20), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
)

payout_channels = Table(
    "payout_channels",
    metadata,
    Column("account", String(56), primary_key=True),
    Column("record", LargeBinary, nullable=False),
)

payout_batches = Table(
    "payout_batches",
    metadata,
    Column("batch_id", String(80), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("day", BigInteger, nullable=False),
    Column("drawn_units", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index("payout_batches_active", "is_active"),
    Index("payout_batches_by_day", "day"),
)

payout_transactions = Table(
    "payout_transactions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("batch_id", String(80), nullable=False),
    Column("channel", String(56), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("max_time_s", BigInteger, nullable=False),
    Column("xdr", Text, nullable=False),
    Column("signed_xdr", Text),
    Index("payout_transactions_of_sequence", "channel", "sequence"),
)

payout_actions = Table(
    "payout_actions",
    metadata,
    Column("action", COUNTED, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("what", String(32), nullable=False),
    Column("channel", String(56), nullable=False),
    Column("batch_id", String(80), nullable=False),
    Column("detail", Text, nullable=False),
)
"""The audit log of payouts. Its writer counts it itself, so that a second writer is refused."""

payout_entries = Table(
    "payout_entries",
    metadata,
    Column("seq", COUNTED, primary_key=True, autoincrement=False),
    Column("key", String(160), nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("payout_entries_by_key", "key", unique=True),
)
"""The payer's books, entry by entry."""

rulings = Table(
    "rulings",
    metadata,
    Column("ruling", COUNTED, primary_key=True, autoincrement=True),
    Column("key", String(56), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("nodes", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("rulings_of_key", "key", "ruling"),
)
"""The audit log of what administrators ruled of nodes and operators; lines are only ever added."""

REVISION: Final = "0012"
"""The newest migration; a test holds it to migrations/."""

_BUSY_TIMEOUT_MS: Final = 5_000
_AGAIN_S: Final = 0.01
_MIGRATIONS: Final = 7_165_903
"""PostgreSQL's lock that is held while the schema is changed; any number that nobody else uses."""


def open_engine(database_url: str) -> Engine:
    """Connect. SQLite gets a write-ahead log, and a commit that returns is on the disk."""
    engine = create_engine(database_url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def write_ahead(cursor: Any) -> None:
    """Two that turn a new file to it at once would wait for each other: SQLite refuses one, which asks again."""
    ends_s = time.monotonic() + _BUSY_TIMEOUT_MS / 1_000
    while not _is_turned(cursor, is_last=time.monotonic() > ends_s):
        time.sleep(_AGAIN_S)


def _is_turned(cursor: Any, *, is_last: bool) -> bool:
    try:
        cursor.execute("PRAGMA journal_mode=WAL").fetchall()  # unread, it would keep its lock
    except sqlite3.OperationalError as error:
        is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the other bits say which kind of busy
        if is_last or not is_busy:
            raise
        return False
    return True


def migrate(engine: Engine) -> None:
    """Bring the database to the newest schema, whole or not at all; of several processes, one does."""
    with engine.connect() as connection:
        if _is_newest(connection):
            return
    # Heavy to import, and needed once in a database's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        # Python's sqlite3 begins no transaction for a CREATE TABLE by itself.
        is_sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_sqlite else f"SELECT pg_advisory_xact_lock({_MIGRATIONS})")
        if not _is_newest(connection):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _is_newest(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == REVISION
