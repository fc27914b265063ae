"""Payout statements in SQL: of each operator the newest, in the words that were signed.

Gateways write them and the payer reads them. They are no read model: no journal can make them again.
"""

from typing import Final

from sqlalchemy import exists, insert, literal, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gridlight.adapters.payout_tables import payout_statements
from gridlight.adapters.schema import ledger_lines, nodes, open_engine
from gridlight.messages.operators import PayoutStatement

_READ_AT_ONCE: Final = 500


class StatementsUnread(Exception):
    """The database cannot be read now, or no gateway has made the table yet."""


class KeptStatements:
    """Blocking; several gateways may write at once."""

    def __init__(self, database_url: str) -> None:
        self._engine: Final = open_engine(database_url)

    def knows(self, operator: str) -> bool:
        """Whether the operator ever had a node here, or the ledger an account of theirs."""
        has_node = exists().where(nodes.c.operator == operator)
        has_account = exists().where(ledger_lines.c.owner == f"op:{operator}")
        with self._engine.connect() as connection:
            return bool(connection.execute(select(literal(1)).where(has_node | has_account)).scalar())

    def find(self, operator: str) -> str | None:
        """The signed text that stands; None where the operator never said."""
        query = select(payout_statements.c.statement).where(payout_statements.c.operator == operator)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def keep(self, statement: PayoutStatement, text: str) -> bool:
        """Whether it is the newest of its operator, and stands from now on."""
        row = {"operator": statement.operator, "serial": statement.serial, "statement": text}
        is_older = (payout_statements.c.operator == statement.operator) & (
            payout_statements.c.serial < statement.serial
        )
        over = update(payout_statements).where(is_older).values(**row)
        with self._engine.begin() as connection:  # which writes first: two at once wait for each other
            if connection.execute(over).rowcount:
                return True
            try:
                with connection.begin_nested():
                    connection.execute(insert(payout_statements).values(**row))
            except IntegrityError:  # another is there, older perhaps: a gateway beside this one was first
                return bool(connection.execute(over).rowcount)
        return True

    def serials(self) -> dict[str, int]:
        """Of every operator's. O(operators). StatementsUnread."""
        query = select(payout_statements.c.operator, payout_statements.c.serial)
        try:
            with self._engine.connect() as connection:
                return {row.operator: row.serial for row in connection.execute(query)}
        except SQLAlchemyError as error:
            raise StatementsUnread(str(error)[:200]) from error

    def texts(self, operators: list[str]) -> list[tuple[str, str]]:
        """Operators with their signed texts. StatementsUnread."""
        columns = select(payout_statements.c.operator, payout_statements.c.statement)
        found: list[tuple[str, str]] = []
        try:
            with self._engine.connect() as connection:
                for first in range(0, len(operators), _READ_AT_ONCE):
                    some = operators[first : first + _READ_AT_ONCE]
                    query = columns.where(payout_statements.c.operator.in_(some))
                    found += [(operator, text) for operator, text in connection.execute(query)]
        except SQLAlchemyError as error:
            raise StatementsUnread(str(error)[:200]) from error
        return found

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
