"""The account of whoever runs a network on their own machine: made with it, without limits, its key beside it."""

import hmac
from pathlib import Path
from typing import Final

from gridlight.adapters.accounts import AccountBook
from gridlight.adapters.api_keys import read_api_key, read_key_file
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.signatures import write_secret
from gridlight.core.quotas import DAY_MS
from gridlight.messages.accounts import Limits, Scope

ACCOUNT_NAME: Final = "this machine"


def ensure_account(database_url: str, key_file: Path) -> None:
    """The database is made where there is none, and the file's key kept where the database knows it. Blocking."""
    book = AccountBook(database_url)
    try:
        book.migrate()
        now_ms = SteadyClock(0).now_ms()
        if not _is_known(book, key_file, now_ms):
            account = book.create(ACCOUNT_NAME, Limits(), now_ms)
            key, _ = book.create_key(account.account_id, tuple(Scope), "made by gridlight up", now_ms)
            write_secret(key_file, f"{key.text}\n")
    finally:
        book.close()


def _is_known(book: AccountBook, key_file: Path, now_ms: int) -> bool:
    try:
        key = read_api_key(read_key_file(key_file))
    except (OSError, ValueError):
        return False
    known = None if key is None else book.find(key.key_id, now_ms // DAY_MS)
    if key is None or known is None or known.key.revoked_ms is not None:
        return False
    return hmac.compare_digest(known.digest, key.digest)
