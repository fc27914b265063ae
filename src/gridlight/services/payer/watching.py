"""What `gridlight deposits` runs: one watcher at a time from the payer's configuration, and an administrator's word."""

import asyncio
from pathlib import Path
from random import SystemRandom
from typing import Final

from msgspec import Struct

from gridlight.adapters.bus import BusError
from gridlight.adapters.chain.addresses import checked_address
from gridlight.adapters.chain.horizon import Horizon
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.configuration import load_config
from gridlight.adapters.coordinator_ledger import CoordinatorLedger
from gridlight.adapters.deposit_store import DepositStore, DepositTotals, KeptDeposit, NotAttributed
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.network_books import NetworkBooks, NetworkUnread
from gridlight.messages.accounts import account_id
from gridlight.messages.ids import AccountId
from gridlight.services.payer.config import PayerConfig
from gridlight.services.payer.deposits import Watcher
from gridlight.services.payer.main import CannotPay, WallClock, alone, stop_on_signals

_NAME: Final = "deposits"


class Seen(Struct, frozen=True, kw_only=True):
    """How deposits stand, from the watcher's database alone."""

    totals: DepositTotals
    open: list[KeptDeposit]
    """That somebody must look at, the newest first."""


def watch(path: Path, *, is_once: bool, is_from_start: bool = False) -> Seen:
    """Read and credit until nothing is left to do, or until SIGINT or SIGTERM. CannotPay and ValueError say what is in
    the way.
    """
    config = load_config(path, PayerConfig)
    if not config.nats_url or config.credentials is None:
        raise CannotPay(
            f"{path} does not say how to reach the network's ledger", "set nats_url, credentials and statements_url"
        )
    write_json_logs(None, service=_NAME)
    with alone(path, _NAME):
        store = DepositStore(config.database_url)
        try:
            asyncio.run(_serve(config, config.credentials, store, is_once=is_once, is_from_start=is_from_start))
            return _seen(store)
        finally:
            store.close()


def read_seen(path: Path) -> Seen:
    """Without a word to anybody."""
    store = DepositStore(load_config(path, PayerConfig).database_url)
    try:
        return _seen(store)
    finally:
        store.close()


def attribute(path: Path, deposit: str, account: str) -> None:
    """Say whose a deposit is that named nobody; the watcher has it credited. NotAttributed says what cannot be."""
    config = load_config(path, PayerConfig)
    transaction, _, operation = deposit.partition(":")
    wanted = account_id(account)
    if wanted is None or not _has_account(config, wanted):
        raise NotAttributed(f"the network has no account {account[:64]!r}", "`gridlight account list` shows them")
    if not (operation.isascii() and operation.isdigit() and len(operation) <= 4):
        raise NotAttributed(f"{deposit[:80]!r} names no deposit", "write it as `gridlight deposits list` does")
    store = DepositStore(config.database_url)
    try:
        store.attribute(SteadyClock(0).now_ms(), transaction, int(operation), wanted)
    finally:
        store.close()


def _has_account(config: PayerConfig, account: AccountId) -> bool:
    network = NetworkBooks(_network_url(config))
    try:
        return network.has_account(account)
    except NetworkUnread as error:
        raise NotAttributed(str(error), "statements_url names the network's database") from error
    finally:
        network.close()


async def _serve(
    config: PayerConfig, credentials: Path, store: DepositStore, *, is_once: bool, is_from_start: bool
) -> None:
    account = checked_address(config.payer)
    try:
        ledger = await CoordinatorLedger.connect(config.nats_url, credentials, config.shard, name=_NAME)
    except BusError as error:
        raise CannotPay(f"the network's ledger cannot be reached: {error}", "is the network up?") from error
    horizon, network = Horizon(config.horizon_url), NetworkBooks(_network_url(config))
    try:
        watcher = Watcher(
            account,
            horizon=horizon,
            store=store,
            network=network,
            ledger=ledger,
            clock=WallClock(),
            random=SystemRandom(),
            is_from_start=is_from_start,
        )
        stop_on_signals(watcher.stop)
        await watcher.run(is_once=is_once)
    finally:
        await horizon.close()
        network.close()
        await ledger.close()


def _network_url(config: PayerConfig) -> str:
    return config.statements_url or config.database_url


def _seen(store: DepositStore) -> Seen:
    return Seen(totals=store.totals(), open=store.open())
