"""What the watcher of deposits keeps in SQL: each payment once, with the cursor it was read by, in one transaction.

A payment is named by its transaction and its place in it for good. So whatever is read again is known again, and an
answer that tells otherwise of it changes nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Row, func, insert, select, update

from gridlight.adapters.chain.horizon import Deposit
from gridlight.adapters.deposit_tables import deposit_cursors, deposits
from gridlight.adapters.schema import migrate, open_engine
from gridlight.messages.ids import AccountId

LISTED_MAX: Final = 1_000


class KeptDeposit(Struct, frozen=True, kw_only=True):
    """One payment as it stands."""

    transaction: str
    operation: int
    """From 0."""
    units: int
    number: str | None
    """What it named; nothing where it went to the bare account."""
    source: str
    """Who paid."""
    seen_ms: int
    account_id: AccountId | None
    """Whose it is, as far as known."""
    attributed_ms: int | None = None
    """When an administrator said so; nothing where its number did."""
    entry: int | None = None
    """The ledger's, which credits it."""
    refused: str | None = None
    """Why it is not credited."""


class KeptPage(Struct, frozen=True):
    """What a page brought: payments that were not known, and those that are known otherwise, which stay as they are."""

    added: list[KeptDeposit]
    contradicted: list[tuple[Deposit, KeptDeposit]]


class DepositTotals(Struct, frozen=True, kw_only=True):
    """All that was ever seen, by what became of it."""

    credited: int
    credited_units: int
    waiting: int
    """For the coordinator."""
    unattributed: int
    unattributed_units: int
    refused: int


class NotAttributed(Exception):
    """An administrator's word that cannot be taken; `hint` says what can."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class DepositStore:
    """Blocking. One watcher writes; an administrator may attribute meanwhile."""

    def __init__(self, database_url: str) -> None:
        self._engine: Final = open_engine(database_url)
        migrate(self._engine)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def cursor(self, account: str) -> str:
        """Up to where payments to the account are kept; nothing where none were read."""
        query = select(deposit_cursors.c.cursor).where(deposit_cursors.c.account == account)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar() or ""

    def keep(
        self, now_ms: int, account: str, found: Sequence[tuple[Deposit, AccountId | None]], cursor: str
    ) -> KeptPage:
        """A page, each payment with whose it is, and the cursor after it."""
        page = KeptPage([], [])
        with self._engine.begin() as connection:
            for deposit, whose in found:
                row = connection.execute(select(deposits).where(_is(deposit.transaction, deposit.index))).one_or_none()
                if row is None:
                    added = _new(now_ms, deposit, whose)
                    connection.execute(insert(deposits), _row(added))
                    page.added.append(added)
                elif (row.units, row.number) != (deposit.units, _text(deposit.requester)):
                    page.contradicted.append((deposit, _kept(row)))
            of_it = deposit_cursors.c.account == account
            if not connection.execute(update(deposit_cursors).where(of_it).values(cursor=cursor)).rowcount:
                connection.execute(insert(deposit_cursors), {"account": account, "cursor": cursor})
        return page

    def due(self, limit: int) -> list[KeptDeposit]:
        """Those that are somebody's and not credited yet, the oldest first."""
        table = deposits
        is_due = table.c.entry.is_(None) & table.c.account_id.is_not(None) & table.c.refused.is_(None)
        query = select(table).where(is_due).order_by(table.c.seen_ms, table.c.hash, table.c.operation).limit(limit)
        with self._engine.connect() as connection:
            return [_kept(row) for row in connection.execute(query)]

    def settle(self, ended: Iterable[tuple[KeptDeposit, int | None, str | None]]) -> None:
        """For each the ledger's entry that credits it, or why there will be none."""
        with self._engine.begin() as connection:
            for one, entry, refused in ended:
                row = update(deposits).where(_is(one.transaction, one.operation))
                connection.execute(row.values(entry=entry, refused=refused))

    def attribute(self, now_ms: int, transaction: str, operation: int, account: AccountId) -> None:
        """An administrator says whose a payment is that named nobody. NotAttributed where it is somebody's already."""
        of_it = _is(transaction, operation)
        with self._engine.begin() as connection:
            written = update(deposits).where(of_it, deposits.c.account_id.is_(None))
            if connection.execute(written.values(account_id=account, attributed_ms=now_ms)).rowcount:
                return
            whose = connection.execute(select(deposits.c.account_id).where(of_it)).scalar()
        if whose is None:
            raise NotAttributed(f"no deposit {transaction}:{operation} was seen", "`gridlight deposits list` has them")
        if whose != account:
            raise NotAttributed(f"{transaction}:{operation} is {whose}'s already", "it cannot be taken from an account")

    def open(self) -> list[KeptDeposit]:
        """Those that somebody must look at: nobody's, and refused ones; the newest first."""
        is_open = deposits.c.entry.is_(None) & (deposits.c.account_id.is_(None) | deposits.c.refused.is_not(None))
        query = select(deposits).where(is_open).order_by(deposits.c.seen_ms.desc(), deposits.c.hash)
        with self._engine.connect() as connection:
            return [_kept(row) for row in connection.execute(query.limit(LISTED_MAX))]

    def totals(self) -> DepositTotals:
        """O(deposits)."""
        table = deposits
        count, units = func.count(), func.coalesce(func.sum(table.c.units), 0)
        query = select(
            table.c.entry.is_not(None), table.c.account_id.is_not(None), table.c.refused.is_not(None), count, units
        ).group_by(table.c.entry.is_not(None), table.c.account_id.is_not(None), table.c.refused.is_not(None))
        with self._engine.connect() as connection:
            found = {(bool(a), bool(b), bool(c)): (n, int(u)) for a, b, c, n, u in connection.execute(query)}
        credited, nobody = found.get((True, True, False), (0, 0)), found.get((False, False, False), (0, 0))
        return DepositTotals(
            credited=credited[0],
            credited_units=credited[1],
            waiting=found.get((False, True, False), (0, 0))[0],
            unattributed=nobody[0],
            unattributed_units=nobody[1],
            refused=found.get((False, True, True), (0, 0))[0],
        )


def _is(transaction: str, operation: int) -> Any:
    return (deposits.c.hash == transaction) & (deposits.c.operation == operation)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _new(now_ms: int, deposit: Deposit, whose: AccountId | None) -> KeptDeposit:
    return KeptDeposit(
        transaction=deposit.transaction,
        operation=deposit.index,
        units=deposit.units,
        number=_text(deposit.requester),
        source=deposit.source,
        seen_ms=now_ms,
        account_id=whose,
    )


def _row(one: KeptDeposit) -> dict[str, Any]:
    row = msgspec.structs.asdict(one)
    return {"hash": row.pop("transaction"), **row}


def _kept(row: Row[Any]) -> KeptDeposit:
    return KeptDeposit(
        transaction=row.hash,
        operation=row.operation,
        units=row.units,
        number=row.number,
        source=row.source,
        seen_ms=row.seen_ms,
        account_id=None if row.account_id is None else AccountId(row.account_id),
        attributed_ms=row.attributed_ms,
        entry=row.entry,
        refused=row.refused,
    )
