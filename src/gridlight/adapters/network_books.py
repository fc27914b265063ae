"""What the watcher of deposits reads of the network's database: whose a number is, and which credits the ledger has."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from gridlight.adapters.ledger_lines import read_postings
from gridlight.adapters.schema import accounts, entries, open_engine
from gridlight.messages.accounts import deposit_number
from gridlight.messages.ids import AccountId
from gridlight.messages.ledger import Posting

_NUMBER_MAX: Final = 2**63 - 1
T = TypeVar("T")


class NetworkUnread(Exception):
    """The network's database cannot be read now, or has no such tables yet."""


class Posted(Struct, frozen=True):
    """An entry: its number, and what it moves."""

    seq: int
    postings: tuple[Posting, ...]


class NetworkBooks:
    """Blocking, and only reads. Everything raises NetworkUnread."""

    def __init__(self, database_url: str) -> None:
        self._engine: Final = open_engine(database_url)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def accounts_of(self, numbers: Iterable[int]) -> dict[int, AccountId]:
        """Accounts by their numbers, of those that any has. A row whose number does not follow from its account is not
        believed, so whoever writes that table can turn nobody's payments over to another.
        """
        wanted = sorted({number for number in numbers if number <= _NUMBER_MAX})
        query = select(accounts.c.account_id).where(accounts.c.deposit_number.in_(wanted))
        found = self._read(lambda connection: connection.execute(query).scalars().all())
        named = {deposit_number(AccountId(account)): AccountId(account) for account in found}
        return {number: named[number] for number in wanted if number in named}

    def has_account(self, account: AccountId) -> bool:
        """Whether the network has it."""
        query = select(accounts.c.account_id).where(accounts.c.account_id == account)
        return self._read(lambda connection: connection.execute(query).scalar()) is not None

    def newest_entry(self) -> int:
        """The ledger's; 0 where it has none."""
        query = select(func.coalesce(func.max(entries.c.seq), 0))
        return int(self._read(lambda connection: connection.execute(query).scalar_one()))

    def entries_of(self, keys: Sequence[str]) -> dict[str, Posted]:
        """By key, of those that are posted."""
        query = select(entries.c.key, entries.c.seq, entries.c.postings).where(entries.c.key.in_(keys))
        rows = self._read(lambda connection: connection.execute(query).all())
        return {row.key: Posted(row.seq, read_postings(row.postings)) for row in rows}

    def _read(self, ask: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return ask(connection)
        except SQLAlchemyError as error:
            raise NetworkUnread(f"the network's database cannot be read: {str(error)[:200]}") from error
