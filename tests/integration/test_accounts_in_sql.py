"""Accounts in SQLite and in a real PostgreSQL: what is kept of keys, and what several gateways count together."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.integration.databases import NewDatabase

from gridlight.adapters.accounts import AccountBook, TooManyKeys
from gridlight.adapters.schema import open_engine
from gridlight.core.quotas import Spent
from gridlight.messages.accounts import KEYS_PER_ACCOUNT_MAX, Limits, Scope
from gridlight.messages.ids import AccountId

LIMITS = Limits(rate_per_minute=60, burst=5, requests_per_day=1_000)
NOBODY = AccountId("acc_0000000000000000")


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
def book(url: str) -> Iterator[AccountBook]:
    book = AccountBook(url)
    book.migrate()
    yield book
    book.close()


def test_an_account_is_read_as_it_was_made(book: AccountBook) -> None:
    made = book.create("robots of Zürich", LIMITS, 5)

    assert book.account(made.account_id) == made
    assert book.accounts() == [made]
    assert book.account(NOBODY) is None


def test_a_key_is_found_by_its_id_and_its_secret_is_nowhere(book: AccountBook, url: str) -> None:
    account = book.create("a", LIMITS, 5)
    key, view = book.create_key(account.account_id, (Scope.READ, Scope.READ), "laptop", 6)

    known = book.find(key.key_id, 0)

    assert known is not None
    assert (known.account, known.key, known.digest, known.used_today) == (account, view, key.digest, 0)
    assert view.scopes == (Scope.READ,)
    assert book.find("x" * 12, 0) is None
    engine = open_engine(url)
    with engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM account_keys")).all())
    engine.dispose()
    assert key.key_id in kept
    assert key.secret not in kept


def test_a_revoked_key_stays_revoked(book: AccountBook) -> None:
    account = book.create("a", LIMITS, 5)
    key, _ = book.create_key(account.account_id, (Scope.READ,), "laptop", 6)

    first = book.revoke(account.account_id, key.key_id, 7)
    again = book.revoke(account.account_id, key.key_id, 9)

    assert first is not None
    assert first.revoked_ms == 7
    assert again == first
    assert book.keys(account.account_id) == [first]
    assert book.revoke(NOBODY, key.key_id, 8) is None


def test_an_account_has_so_many_keys_and_no_more(book: AccountBook) -> None:
    account = book.create("a", LIMITS, 5).account_id
    made = [book.create_key(account, (Scope.READ,), "laptop", number) for number in range(KEYS_PER_ACCOUNT_MAX)]

    with pytest.raises(TooManyKeys):
        book.create_key(account, (Scope.READ,), "one too many", 99)
    assert len(book.keys(account)) == KEYS_PER_ACCOUNT_MAX
    book.revoke(account, made[0][0].key_id, 100)
    book.create_key(account, (Scope.READ,), "in its place", 101)


def test_gateways_count_together_and_lose_nothing(book: AccountBook, url: str) -> None:
    account = book.create("a", LIMITS, 5).account_id
    key, _ = book.create_key(account, (Scope.READ,), "laptop", 6)

    def count(_: int) -> None:
        gateway = AccountBook(url)
        for _ in range(5):
            gateway.add_usage([Spent(account=account, day=3, count=2), Spent(account=account, day=4, count=1)])
        gateway.close()

    with ThreadPoolExecutor(3) as gateways:
        list(gateways.map(count, range(3)))

    known = book.find(key.key_id, 3)
    assert known is not None
    assert known.used_today == 30
    assert book.add_usage([Spent(account=account, day=4, count=1)]) == [Spent(account=account, day=4, count=16)]


def test_the_folder_s_key_is_kept_while_the_database_knows_it(tmp_path: Path) -> None:
    from gridlight.services.own_account import ensure_account

    url, file = f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "requester.key"
    ensure_account(url, file)
    first = file.read_text()
    ensure_account(url, file)
    kept = file.read_text()
    ensure_account(f"sqlite:///{tmp_path / 'b.db'}", file)

    assert file.stat().st_mode & 0o777 == 0o600
    assert first.startswith("gl_")
    assert kept == first
    assert file.read_text() != first
