"""A statement that is compiled once does what SQLAlchemy's own `execute` does with it, time after time."""

from collections.abc import Iterator

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from gridlight.adapters.prepared import Prepared

THINGS = Table(
    "things",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("name", String),
    Column("is_new", Boolean),
)
ADD = Prepared(insert(THINGS))
AGE = Prepared(
    update(THINGS).where(THINGS.c.number == bindparam("of"), THINGS.c.name != "the youngest").values(is_new=False)
)


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        THINGS.metadata.create_all(connection)
        yield connection
    engine.dispose()


def thing(number: int, name: str | None = None) -> dict[str, object]:
    return {"name": name, "number": number, "is_new": True}


def test_one_row_and_many_are_written_whatever_the_order_of_their_keys(connection: Connection) -> None:
    ADD.write(connection, [thing(1, "a")])
    ADD.write(connection, [dict(reversed(thing(2, "b").items())), thing(3)])

    written = connection.execute(select(THINGS).order_by(THINGS.c.number)).all()
    assert [tuple(row) for row in written] == [(1, "a", True), (2, "b", True), (3, None, True)]


def test_what_the_statement_says_itself_needs_not_be_in_a_row(connection: Connection) -> None:
    ADD.write(connection, [thing(1, "a"), thing(2, "the youngest"), thing(3, "c")])

    AGE.write(connection, [{"of": 1}, {"of": 2}])

    new = connection.execute(select(THINGS.c.number).where(THINGS.c.is_new)).scalars().all()
    assert list(new) == [2, 3]


def test_each_kind_of_database_has_its_own_words(connection: Connection) -> None:
    once = Prepared(
        {
            "sqlite": sqlite.insert(THINGS).on_conflict_do_nothing(),
            "postgresql": postgresql.insert(THINGS).on_conflict_do_nothing(),
        }
    )

    once.write(connection, [thing(1, "first")])
    once.write(connection, [thing(1, "second")])

    assert connection.execute(select(THINGS.c.name)).scalars().all() == ["first"]


def test_what_the_database_refuses_is_told_in_sqlalchemys_words(connection: Connection) -> None:
    ADD.write(connection, [thing(1)])

    with pytest.raises(IntegrityError):
        ADD.write(connection, [thing(1)])
