"""What `gridlight payouts` runs: one payer at a time from a configuration, its signer, and how payouts stand."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from gridlight.adapters.bus import BusError
from gridlight.adapters.chain.addresses import checked_address
from gridlight.adapters.chain.horizon import Horizon
from gridlight.adapters.chain.pi_platform import PiPlatform
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.configuration import load_config
from gridlight.adapters.coordinator_ledger import CoordinatorLedger
from gridlight.adapters.kept_statements import KeptStatements
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.payout_store import Action, PayoutStore
from gridlight.adapters.stored_books import StoredBooks
from gridlight.messages.payouts import ChannelRecord, Rail
from gridlight.services.payer.config import PI_KEY_VARIABLE, PayerConfig
from gridlight.services.payer.payer import Payer
from gridlight.services.payer.signing import RemoteSigner, Signer, SignerPort, serve_signer

ACTIONS_SHOWN: Final = 20


class CannotPay(Exception):
    """The payer does not start; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Status(Struct, frozen=True, kw_only=True):
    """How payouts stand, from the database alone."""

    batches: dict[str, int]
    """By state."""
    inflight_units: int
    available_units: int
    """Of all operators."""
    fees_units: int
    """What the network has for the chain's fees."""
    channels: list[ChannelRecord]
    refused: dict[str, str]
    """Operators whose address took nothing, and why."""
    actions: list[Action]
    """The newest of the audit log."""

    @property
    def halted(self) -> list[ChannelRecord]:
        """Those that somebody must look at."""
        return [channel for channel in self.channels if channel.halted is not None]


class WallClock:
    """The machine's, carried on by the monotonic one."""

    def __init__(self) -> None:
        self._clock: Final = SteadyClock(0)

    def now_ms(self) -> int:
        """Never steps back."""
        return self._clock.now_ms()

    async def wait(self, woken: asyncio.Event, timeout_ms: int) -> None:
        """Until woken, or that long."""
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                await woken.wait()
        except TimeoutError:
            pass


def read_status(path: Path) -> Status:
    """Without a word to the chain."""
    config = load_config(path, PayerConfig)
    store = PayoutStore.open(config.database_url)
    try:
        return status_of(store)
    finally:
        store.close()


def set_address(path: Path, operator: str, destination: str, *, is_pi: bool) -> bool:
    """Where an operator is paid who says nothing; whether they do, so that this does not count. BadAddress says what is
    wrong with an address.
    """
    config = load_config(path, PayerConfig)
    if not is_pi:
        checked_address(destination)
    store = PayoutStore.open(config.database_url)
    try:
        store.set_addresses({operator: (Rail.PI if is_pi else Rail.CHAIN, destination)})
        return operator in store.taken()
    finally:
        store.close()


def status_of(store: PayoutStore) -> Status:
    """Of an open database."""
    books, stored = StoredBooks(store.engine), store.load()
    return Status(
        batches=store.counts(),
        inflight_units=sum(batch.units for batch in stored.batches if batch.is_open),
        available_units=sum(books.available().values()),
        fees_units=books.fees(),
        channels=list(stored.channels),
        refused=store.refused(),
        actions=store.actions(ACTIONS_SHOWN),
    )


def run(
    path: Path,
    *,
    is_once: bool,
    resumed: str | None = None,
    is_given_up: bool = False,
    told: Callable[[Status], None] = lambda _status: None,
) -> Status:
    """Pay until nothing is left to do, or until SIGINT or SIGTERM. CannotPay and ValueError say what is in the way."""
    config = load_config(path, PayerConfig)
    write_json_logs(None, service="payer")
    with alone(path):
        store = PayoutStore.open(config.database_url)
        try:
            channels = {channel.account for channel in config.channel_records()}
            if resumed is not None and resumed not in channels:
                raise CannotPay(f"{resumed} is no channel of {path}", "`gridlight payouts status` lists them")
            asyncio.run(_serve(config, store, is_once, resumed, is_given_up, told))
            return status_of(store)
        finally:
            store.close()


def run_signer(path: Path) -> None:
    """Sign for the payer until SIGINT or SIGTERM."""
    config = load_config(path, PayerConfig)
    if config.signer is None:
        raise CannotPay(f"{path} names no socket for the signer", 'add signer = "/path/of/a/socket"')
    store = PayoutStore.open(config.database_url)
    try:
        asyncio.run(_serve_signer(_signer(config, store), config.signer))
    finally:
        store.close()


async def _serve_signer(signer: Signer, socket: Path) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    await serve_signer(signer, socket, stop)


async def _serve(
    config: PayerConfig,
    store: PayoutStore,
    is_once: bool,
    resumed: str | None,
    is_given_up: bool,
    told: Callable[[Status], None],
) -> None:
    horizon, pi = Horizon(config.horizon_url), None
    signer: SignerPort = _signer(config, store) if config.signer is None else RemoteSigner(config.signer)
    ledger = await _ledger_of(config)
    words = KeptStatements(config.statements_url or config.database_url)
    if config.pi_url:
        pi = PiPlatform(config.pi_url, os.environ.get(PI_KEY_VARIABLE, ""))
    try:
        payer = Payer(
            store,
            StoredBooks(store.engine),
            builder=config.builder(),
            parameters=config.parameters,
            channels=config.channel_records(),
            horizon=horizon,
            signer=signer,
            clock=WallClock(),
            pi=pi,
            ledger=ledger,
            words=words,
            told=lambda: told(status_of(store)),
        )
        stop_on_signals(payer.stop)
        if resumed is not None:
            payer.resume(resumed, is_given_up=is_given_up)
        await payer.run(is_once=is_once)
        if payer.disagreement:
            raise CannotPay(payer.disagreement, "is one of the two databases an old copy, or of another network?")
    finally:
        words.close()
        await horizon.close()
        if ledger is not None:
            await ledger.close()
        if pi is not None:
            await pi.close()


async def _ledger_of(config: PayerConfig) -> CoordinatorLedger | None:
    if not config.nats_url:
        return None
    if config.credentials is None:
        raise CannotPay("nats_url is set without credentials", 'add credentials = "/path/of/payer.creds"')
    try:
        return await CoordinatorLedger.connect(config.nats_url, config.credentials, config.shard)
    except BusError as error:
        raise CannotPay(f"the network's ledger cannot be reached: {error}", "is the network up?") from error


def _signer(config: PayerConfig, store: PayoutStore) -> Signer:
    keys = config.keys()
    if not keys:
        raise CannotPay("there is no key to sign with", "set seeds in the file, or GRIDLIGHT_PAYER_SEEDS")
    return Signer(store, config.builder(), keys, config.parameters)


def stop_on_signals(stop: Callable[[], None]) -> None:
    """SIGINT and SIGTERM, for the loop that runs."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


@contextmanager
def alone(path: Path, name: str = "") -> Iterator[None]:
    """One payer, or one watcher, for a file of configuration; what they write refuses another one elsewhere."""
    with path.with_suffix(f".{name}.lock" if name else ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = "a watcher of deposits" if name else "a payer"
            raise CannotPay(f"{what} already runs from {path}", "stop it first, or wait for its end") from error
        yield
