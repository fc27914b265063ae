"""Grants: an administrator vouches for money that an account gets, once for each key, whoever asks how often."""

import asyncio
import re
from typing import Final

from gridlight.adapters.ledger_lines import LedgerLines
from gridlight.messages.amounts import coins
from gridlight.messages.ids import AccountId
from gridlight.messages.ledger import EXT_CHAIN, GRANT, AccountCredited, Posting, req_avail
from gridlight.messages.money_api import IDEMPOTENCY_HEADER, KEY_CHARACTERS_MAX
from gridlight.services.gateway.answers import read
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.outbox import Outbox

POSTED_S_MAX: Final = 5.0
_LOOK_S: Final = 0.05
_is_key = re.compile(rf"[A-Za-z0-9_.=-]{{1,{KEY_CHARACTERS_MAX}}}").fullmatch


class Credits:
    """Tells the coordinator, and waits until the ledger has it. Its word is the ledger's: nothing is kept here."""

    def __init__(self, lines: LedgerLines, outbox: Outbox) -> None:
        self._lines = lines
        self._outbox = outbox

    async def grant(self, account: AccountId, key: str, units: int) -> int:
        """The number of the entry that credits the account. Refusal where the key stands for another grant, or no
        coordinator takes it in time; asked again with the same key it is granted once.
        """
        if not _is_key(key):
            raise Refusal("BAD_IDEMPOTENCY_KEY", f"{key[:80]!r} cannot be a key.")
        wanted = AccountCredited(key=f"{GRANT}{key}", account=req_avail(account), amount=units)
        entry = await self._entry(wanted)
        if entry is not None:  # however old: the core remembers the newest keys alone
            return entry
        self._outbox.add(wanted)
        try:
            async with asyncio.timeout(POSTED_S_MAX):
                while (entry := await self._entry(wanted)) is None:  # noqa: ASYNC110  (the database tells nobody)
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise Refusal(
                "NO_COORDINATOR",
                "The ledger did not take the grant in time.",
                f"Send it again with the same {IDEMPOTENCY_HEADER}: it is granted once.",
            ) from None
        return entry

    async def _entry(self, wanted: AccountCredited) -> int | None:
        found = await read(self._lines.posting, wanted.key)
        if found is None:
            return None
        seq, postings = found
        if postings != (Posting(EXT_CHAIN, -wanted.amount), Posting(wanted.account, wanted.amount)):
            granted = postings[-1]
            raise Refusal(
                "IDEMPOTENCY_KEY_REUSED",
                f"The key stands for {coins(granted.amount)} coin to {granted.account.split(':')[1]}.",
            )
        return seq
