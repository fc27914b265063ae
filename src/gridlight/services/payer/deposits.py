"""The watcher of deposits: reads what was paid to the network's account on the chain, and has it credited, each once.

A page of payments and the cursor after it are durable in one transaction, before anybody is told. Whether a payment is
credited is asked of the ledger itself, by the entry's key: so whenever the watcher is killed, and whatever Horizon
repeats, a new one goes on, and even one that has lost its database credits nothing twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Protocol

import structlog

from gridlight.adapters.chain.calls import ChainUnreachable
from gridlight.adapters.chain.horizon import Horizon
from gridlight.adapters.coordinator_ledger import LedgerUnreachable
from gridlight.adapters.deposit_store import DepositStore, KeptDeposit, KeptPage
from gridlight.adapters.network_books import NetworkBooks, NetworkUnread, Posted
from gridlight.core import postings
from gridlight.core.postings import Draft
from gridlight.messages.ledger import AccountCredited
from gridlight.services.payer.payer import Clock

CREDITS_AT_ONCE_MAX: Final = 100
CREDITED_S_MAX: Final = 10.0
_LOOK_S: Final = 0.05
LOOK_AGAIN_MS: Final = 5_000
"""A ledger of Stellar's closes about so often."""
AFTER_FAILURE_MS: Final = 1_000
AFTER_FAILURES_MS_MAX: Final = 60_000

_log = structlog.get_logger()


class CreditPort(Protocol):
    """Whoever keeps the network's ledger."""

    async def tell(self, credit: AccountCredited) -> None:
        """Heard or not, the ledger shows. LedgerUnreachable."""


def _ignore(_point: str) -> None:
    pass


def pause_ms(failures: int, random: Random) -> int:
    """How long to wait after so many failures in a row: twice as long after each, up to a minute; of that at least a
    half, so that many watchers do not come back together.
    """
    most = LOOK_AGAIN_MS
    if failures:
        most = min(AFTER_FAILURES_MS_MAX, AFTER_FAILURE_MS * 2 ** min(failures - 1, 10))
    return random.randint(most // 2, most)


class Watcher:
    """One account's deposits. `reached` hears of each step between which it might be killed."""

    def __init__(
        self,
        account: str,
        *,
        horizon: Horizon,
        store: DepositStore,
        network: NetworkBooks,
        ledger: CreditPort,
        clock: Clock,
        random: Random,
        is_from_start: bool = False,
        credited_s_max: float = CREDITED_S_MAX,
        reached: Callable[[str], None] = _ignore,
    ) -> None:
        self._account: Final = account
        self._horizon: Final = horizon
        self._store: Final = store
        self._network: Final = network
        self._ledger: Final = ledger
        self._clock: Final = clock
        self._random: Final = random
        self._credited_s_max: Final = credited_s_max
        self._reached: Final = reached
        self._cursor = "" if is_from_start else store.cursor(account)
        self._failures = 0
        self._woken: Final = asyncio.Event()
        self._is_stopping = False

    def stop(self) -> None:
        """End after what is in hand."""
        self._is_stopping = True
        self._woken.set()

    async def run(self, *, is_once: bool = False) -> None:
        """Until stopped; or once, until all that Horizon shows is credited or kept for an administrator."""
        while not self._is_stopping:
            self._woken.clear()
            is_more = await self._turn()
            if is_once and not is_more and not self._failures:
                return
            if self._failures or not is_more:
                await self._clock.wait(self._woken, pause_ms(self._failures, self._random))

    async def _turn(self) -> bool:
        """Credit what is kept, whether or not Horizon answers; then read on. Whether there may be more of either."""
        is_more, is_well = False, True
        for step in (self._credit, self._read):
            try:
                is_more = await step() or is_more
            except (ChainUnreachable, LedgerUnreachable, NetworkUnread) as error:
                is_well = False
                _log.warning("deposits_wait", problem=str(error))
        self._failures = 0 if is_well else self._failures + 1
        return is_more

    async def _read(self) -> bool:
        """Keep one page with its cursor; whether it led on. An empty or an old one leads nowhere, and loses nothing."""
        found, cursor = await self._horizon.deposits(self._account, self._cursor)
        self._reached("read")
        is_further = cursor != self._cursor
        if found or is_further:
            whose = self._network.accounts_of(one.requester for one in found if one.requester is not None)
            page = [(one, None if one.requester is None else whose.get(one.requester)) for one in found]
            kept = self._store.keep(self._clock.now_ms(), self._account, page, cursor)
            self._reached("kept")
            _tell_of(kept)
        self._cursor = cursor
        return is_further

    async def _credit(self) -> bool:
        """Have credited what is somebody's. LedgerUnreachable where it is not posted in time; it is told again."""
        due = self._store.due(CREDITS_AT_ONCE_MAX)
        if not due:
            return False
        looked_to = self._network.newest_entry()
        left = self._settle(due)
        self._reached("looked")
        for one in left:
            draft = _draft(one)
            account = draft.postings[-1].account
            word = AccountCredited(key=draft.key, account=account, amount=one.units, looked_to=looked_to)
            await self._ledger.tell(word)
            self._reached("told")
        try:
            async with asyncio.timeout(self._credited_s_max):
                while left := self._settle(left):  # noqa: ASYNC110  (the database tells nobody)
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise LedgerUnreachable(f"{len(left)} deposits were not posted: is the coordinator running?") from None
        return True

    def _settle(self, due: Sequence[KeptDeposit]) -> list[KeptDeposit]:
        """Note of each what the ledger has; those that it has not."""
        if not due:
            return []
        posted = self._network.entries_of([_draft(one).key for one in due])
        ended = [_ended(one, posted[_draft(one).key]) for one in due if _draft(one).key in posted]
        if ended:
            self._store.settle(ended)
            self._reached("settled")
        return [one for one in due if _draft(one).key not in posted]


def _draft(one: KeptDeposit) -> Draft:
    assert one.account_id is not None
    return postings.deposit(one.transaction, one.operation, one.account_id, one.units)


def _ended(one: KeptDeposit, posted: Posted) -> tuple[KeptDeposit, int | None, str | None]:
    """Credited by this entry; or refused, where the ledger has this deposit as another."""
    if posted.postings == _draft(one).postings:
        _log.info("deposit_credited", deposit=_place(one), account=one.account_id, units=one.units, entry=posted.seq)
        return one, posted.seq, None
    other = posted.postings[-1]
    why = f"entry {posted.seq} has it as {other.amount} units to {other.account}"
    _log.error("deposit_refused", deposit=_place(one), units=one.units, problem=why)
    return one, None, why


def _tell_of(page: KeptPage) -> None:
    for one in page.added:
        if one.account_id is None:
            _log.warning("deposit_unattributed", deposit=_place(one), units=one.units, number=one.number)
    for told, known in page.contradicted:
        _log.error("deposit_contradicted", deposit=_place(known), units=known.units, told_units=told.units)


def _place(one: KeptDeposit) -> str:
    return f"{one.transaction}:{one.operation}"
