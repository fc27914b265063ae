"""Accounts of requesters in SQL: who may ask, with which keys, and how much of the day is used.

Gateways write these tables, and nobody else does. They are no read models: no journal can make them again.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gridlight.adapters.api_keys import ApiKey, new_account_id, new_api_key
from gridlight.adapters.schema import account_keys, account_usage, accounts, migrate, open_engine
from gridlight.core.quotas import Spent
from gridlight.messages.accounts import KEYS_PER_ACCOUNT_MAX, AccountView, KeyView, Limits, Scope, deposit_number
from gridlight.messages.ids import AccountId

ACCOUNTS_LISTED_MAX: Final = 1_000
_KNOWN: Final = select(
    account_keys,
    accounts.c.name,
    accounts.c.created_ms.label("account_ms"),
    accounts.c.rate_per_minute,
    accounts.c.burst,
    accounts.c.requests_per_day,
)


class KnownKey(Struct, frozen=True, kw_only=True):
    """A key as a gateway holds it for a while: whose, what for, and what of its secret is kept."""

    account: AccountView
    key: KeyView
    digest: str
    used_today: int


class TooManyKeys(Exception):
    """The account has as many keys as one may have."""


class AccountBook:
    """Blocking; several gateways may write at once."""

    def __init__(self, database_url: str) -> None:
        self._engine = open_engine(database_url)

    def migrate(self) -> None:
        """For whoever comes before the coordinator."""
        migrate(self._engine)

    def create(self, name: str, limits: Limits, now_ms: int) -> AccountView:
        """A new account, without keys."""
        view = AccountView(account_id=new_account_id(), name=name, limits=limits, created_ms=now_ms)
        values = {"account_id": view.account_id, "name": name, "created_ms": now_ms}
        # Another account's number, which a hash gives once in 2^63, is refused by the index, and the account with it.
        values["deposit_number"] = deposit_number(view.account_id)
        limited = {field: getattr(limits, field) for field in Limits.__struct_fields__}
        with self._engine.begin() as connection:
            connection.execute(insert(accounts).values(**values, **limited))
        return view

    def account(self, account: AccountId) -> AccountView | None:
        """One account, or None where there is none of this id."""
        with self._engine.connect() as connection:
            row = connection.execute(select(accounts).where(accounts.c.account_id == account)).one_or_none()
        return None if row is None else _account_view(row, row.created_ms)

    def accounts(self, limit: int = ACCOUNTS_LISTED_MAX) -> list[AccountView]:
        """The newest first."""
        query = select(accounts).order_by(accounts.c.created_ms.desc(), accounts.c.account_id).limit(limit)
        with self._engine.connect() as connection:
            return [_account_view(row, row.created_ms) for row in connection.execute(query)]

    def create_key(
        self, account: AccountId, scopes: tuple[Scope, ...], label: str, now_ms: int
    ) -> tuple[ApiKey, KeyView]:
        """A new key; only here is its secret known. TooManyKeys."""
        key = new_api_key()
        view = KeyView(
            key_id=key.key_id, account_id=account, scopes=tuple(dict.fromkeys(scopes)), label=label, created_ms=now_ms
        )
        values = {"key_id": key.key_id, "account_id": account, "digest": key.digest, "label": label}
        live = select(func.count()).where(account_keys.c.account_id == account, account_keys.c.revoked_ms.is_(None))
        with self._engine.begin() as connection:
            connection.execute(
                insert(account_keys).values(**values, scopes=" ".join(view.scopes), created_ms=now_ms, revoked_ms=None)
            )
            if (connection.execute(live).scalar() or 0) > KEYS_PER_ACCOUNT_MAX:
                raise TooManyKeys
        return key, view

    def keys(self, account: AccountId) -> list[KeyView]:
        """An account's keys, revoked ones too, the newest first."""
        query = select(account_keys).where(account_keys.c.account_id == account)
        newest = query.order_by(account_keys.c.created_ms.desc(), account_keys.c.key_id).limit(ACCOUNTS_LISTED_MAX)
        with self._engine.connect() as connection:
            return [_key_view(row) for row in connection.execute(newest)]

    def revoke(self, account: AccountId, key_id: str, now_ms: int) -> KeyView | None:
        """For good; again changes nothing. None where the account has no such key."""
        of_it = (account_keys.c.account_id == account) & (account_keys.c.key_id == key_id)
        with self._engine.begin() as connection:
            connection.execute(
                update(account_keys).where(of_it, account_keys.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
            )
            row = connection.execute(select(account_keys).where(of_it)).one_or_none()
        return None if row is None else _key_view(row)

    def find(self, key_id: str, day: int) -> KnownKey | None:
        """What a gateway wants to know of a key that was sent; None where there is none of this id."""
        used = (account_usage.c.account_id == account_keys.c.account_id) & (account_usage.c.day == day)
        query = (
            _KNOWN.add_columns(account_usage.c.requests)
            .join(accounts, accounts.c.account_id == account_keys.c.account_id)
            .outerjoin(account_usage, used)
            .where(account_keys.c.key_id == key_id)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return KnownKey(
            account=_account_view(row, row.account_ms),
            key=_key_view(row),
            digest=row.digest,
            used_today=row.requests or 0,
        )

    def add_usage(self, spent: Iterable[Spent]) -> list[Spent]:
        """Add what one gateway counted; what all have counted then, in the same order."""
        totals = []
        with self._engine.begin() as connection:
            for one in spent:
                of_it = (account_usage.c.account_id == one.account) & (account_usage.c.day == one.day)
                more = update(account_usage).where(of_it).values(requests=account_usage.c.requests + one.count)
                if not connection.execute(more).rowcount:
                    row = {"account_id": one.account, "day": one.day, "requests": one.count}
                    try:
                        with connection.begin_nested():
                            connection.execute(insert(account_usage).values(**row))
                    except IntegrityError:  # another gateway was first
                        connection.execute(more)
                total = connection.execute(select(account_usage.c.requests).where(of_it)).scalar_one()
                totals.append(Spent(account=one.account, day=one.day, count=total))
        return totals

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _account_view(row: Row[Any], created_ms: int) -> AccountView:
    limits = Limits(rate_per_minute=row.rate_per_minute, burst=row.burst, requests_per_day=row.requests_per_day)
    return AccountView(account_id=AccountId(row.account_id), name=row.name, limits=limits, created_ms=created_ms)


def _key_view(row: Row[Any]) -> KeyView:
    return KeyView(
        key_id=row.key_id,
        account_id=AccountId(row.account_id),
        scopes=tuple(Scope(scope) for scope in row.scopes.split()),
        label=row.label,
        created_ms=row.created_ms,
        revoked_ms=row.revoked_ms,
    )
