"""A network that forgets a receipt is convicted by its own words, and an honest one is not.

A real coordinator's loop on a real journal, a real gateway over HTTP, and strangers in processes of their own.
"""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete
from tests.acceptance.stand import GRIDLIGHT
from tests.integration.conftest import Connections, Server
from tests.integration.gateway_stand import Stand, standing
from tests.unit.core.world import (
    WORKLOAD,
    ends,
    enrolled,
    job_id,
    node_id,
    offer,
    only,
    secret,
    sends,
    slots,
    submitted,
)
from tests.unit.services.coordinator.hosting import Performed, put, result, running, whole_fold

from gridlight.adapters.clock import SteadyClock, wall_s
from gridlight.adapters.journal import Journal
from gridlight.adapters.node_folder import NODE_KEY_FILE
from gridlight.adapters.schema import open_engine
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.word_files import WordFiles
from gridlight.adapters.word_tables import word_pages
from gridlight.adapters.words import sign_closed
from gridlight.core.coordinator import Coordinator
from gridlight.core.receipts import Sheet
from gridlight.core.words import PAGE_MS
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.ids import JobId, NodeId
from gridlight.messages.ledger import AccountCredited, MoneyParameters, PricesSet, req_avail
from gridlight.messages.receipts import Receipt, RecordSheet
from gridlight.messages.trust import EpochBegan
from gridlight.messages.words import RecordWords
from gridlight.services.agent.gateway_api import GatewayApi, apart
from gridlight.services.agent.own_words import settle_account, take_words
from gridlight.services.coordinator.loop import Loop

EPOCH_MS, DAY_MS = 600_000, 86_400_000
EPOCHS = 40
"""Until what came in the first is due: 6 hours, and some minutes."""


class MovedClock(SteadyClock):
    """A day ago, until the test moves it."""

    def __init__(self) -> None:
        super().__init__(0)
        self.at_ms = wall_s() * 1_000 - DAY_MS

    def now_ms(self) -> int:
        return self.at_ms


class Network:
    """One node's runs, and some of others, on the books that a real gateway reads."""

    def __init__(self, stand: Stand, folder: Path) -> None:
        assert stand.config is not None
        self.stand = stand
        self.url = stand.config.database_url
        self.key = stand.server.keys._network
        self.data = folder / "node"
        self.data.mkdir()
        self.node = SigningKey.load_or_create(self.data / NODE_KEY_FILE)
        self.journal = Journal(self.url)
        self.performed, self.clock, self.core = Performed(), MovedClock(), Coordinator()
        self.loop = Loop(
            core=self.core,
            journal=self.journal,
            sequence=0,
            clock=self.clock,
            perform=self.performed,
            sign=partial(sign_closed, self.key),
        )
        self.jobs = 0
        self.api = GatewayApi(stand.url)
        self.files = WordFiles(self.data)

    async def begin(self) -> None:
        put(self.loop, CoordinatorStarted(seed=7, workloads=(WORKLOAD,)))
        put(self.loop, PricesSet(money=MoneyParameters(), work={WORKLOAD: 1_000}))
        put(self.loop, AccountCredited(key="grant:anna", account=req_avail("anna"), amount=50_000), began(1))
        for node in (NodeId(self.node.public), node_id(1), node_id(2)):
            put(self.loop, enrolled(node), offer(node, slots(1)))

    async def run(self, node: NodeId) -> str:
        """A paid job of this node's, answered at once; its assignment."""
        self.jobs += 1
        job = submitted(job_id(self.jobs), deadline_ms=60_000, pinned_node=node)
        put(self.loop, msgspec.structs.replace(job, account_id="anna"))
        await self.performed.until(lambda effects: len(sends(effects)) == self.jobs)
        send = sends(self.performed.effects)[-1]
        put(self.loop, result(send))
        await self.performed.until(lambda effects: len(ends(effects)) == self.jobs)
        return send.assignment.assignment_id

    async def pass_page(self) -> None:
        pages = len(only(RecordWords, self.performed.effects))
        self.clock.at_ms += PAGE_MS
        put(self.loop, TimePassed())
        await self.performed.until(lambda effects: len(only(RecordWords, effects)) > pages)

    async def pass_epochs(self, first: int, last: int) -> None:
        for epoch in range(first, last + 1):
            self.clock.at_ms += EPOCH_MS
            put(self.loop, began(epoch))
            await self.performed.until(partial(_has_sheets, epoch))

    async def heard(self) -> tuple[int, int, int]:
        """How many words came, and how many runs of those that are known have no receipt, or an overdue one."""
        now_ms = self.clock.at_ms
        told = await apart(lambda: take_words(self.api, self.node, self.files, now_ms=now_ms))
        assert told.gives_words
        return len(told.attempts), told.owed, told.overdue


def _has_sheets(count: int, effects: list[Effect]) -> bool:
    return len(only(RecordSheet, effects)) == count


def began(epoch: int) -> EpochBegan:
    return EpochBegan(epoch=epoch, secret=secret(epoch), next_secret=secret(epoch + 1))


@pytest.fixture
async def network(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Network]:
    async with standing(server, connections, tmp_path, has_started=False) as stand:
        network = Network(stand, tmp_path)
        async with running(network.loop):
            await network.begin()
            yield network
        network.journal.close()


def forgetting(monkeypatch: pytest.MonkeyPatch, job: JobId) -> list[str]:
    """The network pays for this job as for others, and leaves its receipt off the sheet; whose it was is told."""
    write, forgotten = Sheet.write, list[str]()

    def forgetful(sheet: Sheet, receipt: Receipt) -> None:
        if receipt.task == job:
            forgotten.append(receipt.attempt)
        else:
            write(sheet, receipt)

    monkeypatch.setattr(Sheet, "write", forgetful)
    return forgotten


def cli(*words: object, home: Path) -> "subprocess.CompletedProcess[str]":
    """A process that knows nothing but what it is told."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [GRIDLIGHT, *map(str, words)]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False)


async def test_p45_a_network_that_forgets_a_receipt_is_convicted(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, out = NodeId(network.node.public), tmp_path / "proofs"
    forgotten = forgetting(monkeypatch, job_id(4))
    for node in (node_id(1), own, node_id(2), own):
        await network.run(node)
    await network.pass_page()
    assert await network.heard() == (2, 2, 0)
    await network.pass_epochs(2, EPOCHS)
    assert await network.heard() == (0, 1, 1)

    words = ("node", "omitted", "--data", network.data, "--out", out, "--network", network.stand.url, "--json")
    ran = await apart(lambda: cli(*words, home=tmp_path))

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    [omission] = told["omissions"]
    assert omission["attempt"] == forgotten[0]
    assert (told["waiting"], told["network_key"]) == (0, network.key.public)
    file = Path(omission["file"])
    await apart(lambda: check_strangers(file, network.key.public, forgotten[0], tmp_path))
    await apart(lambda: check_a_silent_network(network, out))


def check_strangers(file: Path, key: str, attempt: str, home: Path) -> None:
    """Who has the file and the network's key believes it, unless one byte is another."""
    ran = cli("receipt", "omitted", file, "--network-key", key, "--json", home=home)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["attempt"] == attempt
    changed = bytearray(file.read_bytes())
    changed[changed.index(attempt.encode())] ^= 1
    file.write_bytes(changed)
    ran = cli("receipt", "omitted", file, "--network-key", key, home=home)
    assert (ran.returncode, "no word there" in ran.stderr) == (1, True), ran.stderr


def check_a_silent_network(network: Network, out: Path) -> None:
    """One that shows no sheets is told of, with its word as it stands."""
    engine = open_engine(network.url)
    with engine.begin() as connection:
        connection.execute(delete(word_pages))
    engine.dispose()
    [omission] = settle_account(network.stand.url, network.data, out).omissions
    assert omission.file is None
    assert "does not show its sheets: " in omission.why
    assert "UNKNOWN_WORD" in omission.why


async def test_p45_an_honest_network_is_not_and_nothing_of_its_words_is_kept_after(
    network: Network, tmp_path: Path
) -> None:
    own, out = NodeId(network.node.public), tmp_path / "proofs"
    await network.run(own)
    await network.run(node_id(1))
    await network.pass_page()
    assert await network.heard() == (1, 1, 0)
    assert len(list(network.files.folder.glob("*.words"))) == 1
    await network.run(own)
    await network.pass_epochs(2, 2)
    assert await network.heard() == (1, 0, 0)
    assert list(network.files.folder.glob("*.words")) == []
    await network.pass_epochs(3, EPOCHS)
    told = await apart(lambda: settle_account(network.stand.url, network.data, out))
    assert (told.waiting, told.omissions, out.exists()) == (0, [], False)


async def test_a_node_that_asks_for_the_first_time_knows_at_once_what_it_has_receipts_for(network: Network) -> None:
    own = NodeId(network.node.public)
    await network.run(own)
    await network.pass_epochs(2, 2)
    await network.run(own)
    await network.pass_page()
    assert await network.heard() == (2, 1, 0)


async def test_a_receipt_that_the_node_missed_is_no_omission(network: Network, tmp_path: Path) -> None:
    """It is asked for once more by name, before anybody is accused."""
    own = NodeId(network.node.public)
    await network.run(own)
    await network.pass_page()
    await network.heard()
    await network.pass_epochs(2, EPOCHS)
    with network.files.held() as standing:
        standing.receipt = f"{EPOCHS}.0"
    assert await network.heard() == (0, 1, 1)
    told = await apart(lambda: settle_account(network.stand.url, network.data, tmp_path / "proofs"))
    assert (told.waiting, told.omissions) == (0, [])


async def test_p47_a_fold_of_the_journal_gives_the_same_words(network: Network) -> None:
    for node in (NodeId(network.node.public), node_id(1)):
        await network.run(node)
    await network.pass_page()
    await network.pass_epochs(2, 2)
    words = only(RecordWords, network.performed.effects)
    core, said = Coordinator(), list[object]()
    for record in network.journal.records_after(0):
        events: list[Event] = record.events
        said += [effect for one in events for effect in core.handle(record.now_ms, one)]
    assert only(RecordWords, said) == words != []
    assert whole_fold(network.journal).bookkeeping.register.words.page == len(words)
