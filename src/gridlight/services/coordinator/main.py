"""The coordinator's process: folds the journal, connects, and runs the loop until told to stop."""

import asyncio
import gc
import secrets
import signal
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import uvloop
from msgspec import UNSET

from gridlight.adapters.books import Sign, unsigned
from gridlight.adapters.bus import Bus, Delivery
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.configuration import load_config
from gridlight.adapters.cutting import Cutter
from gridlight.adapters.journal import Journal
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.presence import follow_presence
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.store import Store
from gridlight.adapters.words import sign_closed
from gridlight.messages import codec, subjects
from gridlight.messages.codec import GatewayQuestion, ProtocolViolation
from gridlight.messages.host import BusReconnected, CoordinatorStarted
from gridlight.messages.ids import NodeId
from gridlight.messages.ledger import GRANT, AccountCredited, PricesSet, is_told_deposit
from gridlight.messages.nodes import NodeDisconnected
from gridlight.services.coordinator.config import CoordinatorConfig
from gridlight.services.coordinator.effects import Performer
from gridlight.services.coordinator.epochs import EpochSequence
from gridlight.services.coordinator.loop import Loop, fold
from gridlight.services.coordinator.metrics import serve_metrics
from gridlight.services.coordinator.presence import Presence
from gridlight.services.coordinator.questions import answer
from gridlight.workloads.contract import catalogue, comparisons

_SWEEP_S: Final = 30.0
_COLLECT_S: Final = 1.0
"""A collection takes as long as there is new since the last one: 1 to 4 ms after a thousand tasks, 60 after a minute of
them."""
_PUT_AGAIN_S: Final = 0.1
_QUESTIONS_MAX: Final = 10_000
"""That wait to be answered; whose question is left asks again."""

_log = structlog.get_logger()


class CoordinatorService:
    """One shard's coordinator between bus and database."""

    def __init__(self, config: CoordinatorConfig) -> None:
        self._config = config
        self._presence = Presence()
        self._buses: list[Bus] = []
        self._asked: asyncio.Queue[GatewayQuestion] = asyncio.Queue(_QUESTIONS_MAX)
        self._stopping = asyncio.Event()
        self._error: Exception | None = None

    async def run(self) -> None:
        """Until SIGTERM or SIGINT, or until an error that this process must not outlive."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        config = self._config
        journal = Journal(config.database_url)
        core, sequence = fold(journal)
        _log.info("journal folded", sequence=sequence)
        self._clock = SteadyClock(core.now_ms)
        bus = await self._connect("coordinator", config.credentials)
        system = await self._connect("coordinator presence", config.system_credentials)
        self._buses = [bus, system]
        store = Store.open(config.database_url)
        cutter = await Cutter.listening(system)
        performer = self._performer = Performer(bus, config.shard, store.node_ids, cutter)
        self._loop = Loop(
            core=core,
            journal=journal,
            sequence=sequence,
            clock=self._clock,
            perform=performer.perform,
            sign=signer(config.network_key_file),
        )
        if config.metrics_port is not None:
            serve_metrics(self._loop, performer.checks, config.metrics_port)
        # Before anything can be heard: until then the core knows no workload, and takes what was for what is.
        self._loop.put(_started(config))
        if config.money is not None:
            self._loop.put(PricesSet(money=config.money, work=config.work))
        epochs = EpochSequence(core.verification.epoch, core.verification.next_secret)
        self._loop.put(epochs.begin())
        await self._listen(bus)
        await follow_presence(system, config.account, on_disconnected=self._heard_disconnect)
        _still_collector()
        async with asyncio.TaskGroup() as tasks:
            own = (self._answer(), self._sweep(), self._collect(), self._begin_epochs(epochs))
            for_ever = (performer.ask_nodes(), cutter.cut_for_ever(), *own)
            helpers = [tasks.create_task(one) for one in for_ever]
            tasks.create_task(self._stop_when_told())
            await self._loop.run()
            for helper in helpers:
                helper.cancel()
            self._stopping.set()
        for one in self._buses:
            await one.close()
        store.close()
        journal.close()
        if self._error is not None:
            raise self._error

    async def _listen(self, bus: Bus) -> None:
        await bus.listen(subjects.control_events(self._config.shard), self._heard_gateway)
        await bus.listen(subjects.OFFERS, self._heard_offer)
        await bus.listen(subjects.payer_words(self._config.shard), self._heard_payer)

    async def _connect(self, name: str, credentials: Path) -> Bus:
        return await Bus.connect(
            url=self._config.nats_url,
            name=name,
            credentials=credentials,
            on_reconnected=self._heard_reconnect,
            on_closed=self._heard_closed,
            on_error=self._heard_error,
        )

    async def _stop_when_told(self) -> None:
        await self._stopping.wait()
        self._loop.stop()

    def _heard_gateway(self, delivery: Delivery) -> None:
        try:
            words = codec.gateway_words.decode(delivery.body)
        except ProtocolViolation as violation:
            _log.warning("a gateway's events refused", error=str(violation))
            return
        for word in words:
            if isinstance(word, AccountCredited) and not word.key.startswith(GRANT):
                _log.warning("a gateway's credit refused", key=word.key, error="only the payer tells of deposits")
            elif isinstance(word, GatewayQuestion):
                self._ask(word)
            else:
                self._loop.put(word)

    def _ask(self, question: GatewayQuestion) -> None:
        try:
            self._asked.put_nowait(question)
        except asyncio.QueueFull:
            _log.warning("a gateway's question is left: too many wait")

    async def _answer(self) -> None:
        while True:
            question = await self._asked.get()
            await self._performer.tell(question.gateway_id, answer(self._loop.core, question))

    def _heard_payer(self, delivery: Delivery) -> None:
        try:
            word = codec.payer_words.decode(delivery.body)
        except ProtocolViolation as violation:
            _log.warning("a payer's word refused", error=str(violation))
            return
        if isinstance(word, AccountCredited) and not is_told_deposit(word):
            _log.warning("a payer's word refused", error=f"{word.key} to {word.account} is no requester's deposit")
            return
        self._loop.put(word)

    def _heard_offer(self, delivery: Delivery) -> None:
        node_id = NodeId(delivery.subject.removeprefix("offer."))
        try:
            offer = codec.node_offers.decode(delivery.message or b"")
        except ProtocolViolation as violation:
            _log.warning("an offer refused", node_id=node_id, error=str(violation))
            return
        if offer.node_id != node_id:  # the subject is what the server checked
            _log.warning("an offer refused", node_id=node_id, error="it names another node")
            return
        self._presence.heard(self._clock.now_ms(), node_id)
        if not self._loop.core.fleet.changes_nothing(offer):
            self._loop.put(offer)

    async def _heard_disconnect(self, node_id: NodeId, session: str | None) -> None:
        self._presence.left(node_id)  # whose other connection may stand: its next offer is heard again
        if self._loop.core.fleet.index_of(node_id) is not None:  # services connect and disconnect too
            self._loop.put(NodeDisconnected(node_id=node_id, session=UNSET if session is None else session))

    async def _heard_reconnect(self) -> None:
        # Each connection tells of itself; only when both are back is anything heard that could be missed else.
        if self._buses and all(bus.is_connected for bus in self._buses):
            _log.warning("the bus was away")
            self._loop.put(BusReconnected())

    async def _heard_closed(self) -> None:
        self._heard_error(ConnectionError("the bus ended our connection for good"))

    def _heard_error(self, error: Exception) -> None:
        if isinstance(error, (AssertionError, ConnectionError)):
            self._error = error
            self._stopping.set()

    async def _begin_epochs(self, epochs: EpochSequence) -> None:
        while True:
            await asyncio.sleep(self._config.epoch_s)
            # Not to be lost in a full inbox: the epoch after it keeps a promise that this one makes.
            began = epochs.begin()
            while not self._loop.put(began):  # noqa: ASYNC110  (no event tells of room in the inbox)
                await asyncio.sleep(_PUT_AGAIN_S)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            for node_id in self._presence.expired(self._clock.now_ms()):
                self._loop.put(NodeDisconnected(node_id=node_id))

    async def _collect(self) -> None:
        while True:
            await asyncio.sleep(_COLLECT_S)
            gc.collect(1)


def _started(config: CoordinatorConfig) -> CoordinatorStarted:
    """What this process says of the network."""
    return CoordinatorStarted(
        seed=secrets.randbits(53),
        workloads=tuple(catalogue()),
        comparisons=comparisons(),
        trust=config.trust_parameters(),
    )


def signer(key_file: Path | None) -> Sign:
    """Signs the roots of receipts and of words, where this process has the key."""
    if key_file is None:
        return unsigned
    return partial(sign_closed, SigningKey.from_seed(key_file.read_text(encoding="ascii").strip()))


def _still_collector() -> None:
    """A collection over all nodes stops the world for a fifth of a second: what is there now stays, and the young
    generations are collected by `_collect`."""
    gc.collect()
    gc.freeze()
    gc.disable()


def run(config_path: Path) -> None:
    """The process. Raises what it must not outlive; whoever supervises it starts it again."""
    config = load_config(config_path, CoordinatorConfig)
    write_json_logs(config.log_file, service="coordinator")
    uvloop.run(CoordinatorService(config).run())
