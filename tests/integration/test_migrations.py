"""Migrations, in SQLite and in a real PostgreSQL: they make what the code uses, and lose nothing on the way."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, event, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError
from tests.integration.databases import NewDatabase
from tests.unit.core.world import WORKLOAD, job_id, node_id, submitted

from gridlight.adapters import deposit_tables, payout_tables, schema, word_tables
from gridlight.adapters.changes import Changes
from gridlight.adapters.journal import Journal, Record
from gridlight.adapters.schema import REVISION, metadata, migrate, open_engine
from gridlight.adapters.store import Store
from gridlight.messages.accounts import deposit_number
from gridlight.messages.codec import encode_record
from gridlight.messages.host import TimePassed
from gridlight.messages.ids import AccountId
from gridlight.messages.jobs import JobState, Outcome
from gridlight.messages.trust import RecordStanding, Tier

DONE = Outcome(state=JobState.DONE, node_id=node_id(1), output=b"result")


def migrate_to(engine: Engine, revision: str) -> None:
    """As an older release would leave the database."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def fill_first_tables(engine: Engine) -> None:
    """What the first release wrote."""
    job = {"job_id": job_id(1), "submitted_ms": 1, "submitted": msgspec.msgpack.encode(submitted(job_id(1)))}
    outcome = {"ended_ms": 2, "outcome": msgspec.msgpack.encode(DONE)}
    node = {"node_id": node_id(1), "operator": node_id(1), "agent_version": "1.0", "cpus": 4, "memory_mib": 8_192}
    lent = {"is_online": True, "slots": 1, "workloads": WORKLOAD, "tasks_answered": 7}
    record = {"sequence": 1, "now_ms": 1, "core_version": 1, "record": encode_record([TimePassed()])}
    with engine.begin() as connection:
        connection.execute(insert(schema.jobs), job | outcome)
        connection.execute(insert(schema.nodes), node | lent)
        connection.execute(insert(schema.journal), record)


def test_migrations_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    migrate(engine)
    migrate(engine)

    inspector = inspect(engine)
    own = {payout_tables.payout_statements, word_tables.words, deposit_tables.deposits}
    assert {table.name for table in own} <= metadata.tables.keys()
    for table in metadata.tables.values():
        columns = {
            column["name"]: (str(column["type"]), column["nullable"]) for column in inspector.get_columns(table.name)
        }
        dialect = engine.dialect
        assert columns == {column.name: (column.type.compile(dialect), column.nullable) for column in table.columns}
        assert set(inspector.get_pk_constraint(table.name)["constrained_columns"]) == set(
            table.primary_key.columns.keys()
        )
        indexes = {index["name"]: index["column_names"] for index in inspector.get_indexes(table.name)}
        assert indexes == {index.name: index.columns.keys() for index in table.indexes}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == REVISION


def test_processes_that_start_at_once_on_an_empty_database_make_its_tables_once(new_database: NewDatabase) -> None:
    url = new_database()

    def start(_number: int) -> None:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(start, range(3))) == [None] * 3


class LetIn(sqlite3.Cursor):
    """Of a file that another connection holds, until this one was refused."""

    holder: sqlite3.Connection
    refusals = 0

    def execute(self, *words: Any) -> Self:
        try:
            return super().execute(*words)
        except sqlite3.OperationalError:
            self.refusals += 1
            self.holder.rollback()
            raise


def test_a_file_that_is_busy_for_a_moment_gets_its_write_ahead_log(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    holder = sqlite3.connect(file)
    holder.execute("BEGIN EXCLUSIVE")
    cursor = LetIn(sqlite3.connect(file, timeout=0))
    cursor.holder = holder

    schema.write_ahead(cursor)

    assert cursor.refusals == 1
    assert holder.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_migration_that_is_cut_off_leaves_nothing_behind(engine: Engine) -> None:
    def cut_off(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.strip().startswith("CREATE TABLE payout_batches"):
            raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", cut_off)
    with pytest.raises(KeyboardInterrupt):
        migrate(engine)
    event.remove(engine, "before_cursor_execute", cut_off)
    assert inspect(engine).get_table_names() == []

    migrate(engine)
    assert inspect(engine).has_table("payout_batches")


def test_what_the_first_release_wrote_is_still_there_and_goes_on(engine: Engine) -> None:
    migrate_to(engine, "0001")
    assert not inspect(engine).has_table("commits")
    fill_first_tables(engine)
    url = engine.url.render_as_string(hide_password=False)

    journal, store = Journal(url), Store.open(url)
    [record] = journal.records_after(0)
    job, [node] = store.job(job_id(1)), store.nodes()
    standing = RecordStanding(node_id=node_id(1), tier=Tier.TRUSTED, clean_run=8, checks_passed=1, faults=0)
    journal.commit(Record(2, 2, 1, []), Changes(2, [], [standing]))
    [since] = store.nodes()
    journal.close()
    store.close()

    assert record.events == [TimePassed()]
    assert job is not None
    assert (job.submitted.job_id, job.outcome, job.commit) == (job_id(1), DONE, None)
    assert (node.tasks_answered, node.tier) == (7, None)
    assert (since.tasks_answered, since.tier) == (7, Tier.TRUSTED)


def test_accounts_of_before_have_the_numbers_that_new_ones_would_and_no_two_have_one(engine: Engine) -> None:
    migrate_to(engine, "0011")
    names = [AccountId(f"acc_{number:016d}") for number in range(3)]
    row = "INSERT INTO accounts (account_id, name, created_ms, burst) VALUES ('{}', 'a', 1, 1)"
    with engine.begin() as connection:
        for name in names:
            connection.exec_driver_sql(row.format(name))
    migrate(engine)

    with engine.connect() as connection:
        found = connection.execute(select(schema.accounts.c.account_id, schema.accounts.c.deposit_number)).all()
    assert {row.account_id: row.deposit_number for row in found} == {name: deposit_number(name) for name in names}
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(update(schema.accounts).values(deposit_number=7))
