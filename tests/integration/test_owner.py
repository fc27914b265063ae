"""A real agent with a real worker yields to its operator, hands back what it has, and comes back by itself."""

import asyncio
import json
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.agent_stand import WORKLOAD, Agent, Dispatcher, Door, connected, dispatcher_to, eventually
from tests.integration.conftest import Connections, Server
from tests.integration.machine_stand import MachineFiles

from gridlight.messages.control import AskPause, AskStatus, ControlRequest, NodeStatus, PauseReason
from gridlight.messages.nodes import OwnerState
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import AssignmentDeclined, AssignmentFailed, DeclineReason, FailureCode
from gridlight.services.agent.control import NoAgent, ask
from gridlight.services.setup import ensure_weights

YIELDS_S = 1.0
STARTED = timedelta(seconds=4)
"""Input of the first two seconds of an agent started it, and counts for nothing."""

GRIDLIGHT = str(Path(sys.executable).with_name("gridlight"))
ROUNDED_MS = 5
"""Two clocks that are rounded."""

PREFERENCES = "idle_time_to_run = 0.034\n"
"""As the defaults, but for how long a test has to wait."""


class Lent:
    """One node whose machine is in the test's hands."""

    def __init__(self, machine: MachineFiles, agent: Agent, folder: Path, node: Dispatcher) -> None:
        self.machine = machine
        self.agent = agent
        self.folder = folder
        self.node = node

    def prefer(self, text: str) -> None:
        """The operator edits the file."""
        (self.folder / "preferences.toml").write_text(PREFERENCES + text)

    def tell(self, *words: str) -> dict[str, Any]:
        """The operator uses the command line."""
        command = [GRIDLIGHT, "node", *words, "--data", str(self.folder), "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads(ran.stdout))

    async def told(self, *words: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.tell, *words)

    async def yields(self, happen: Callable[[], object], state: OwnerState) -> float:
        """Has it run something, lets this happen, and sees it handed back; how long that took."""
        node = self.node
        with self.agent.frozen_worker() as worker:
            running = [await node.assign() for _ in range(2)]
            for one in running:
                await node.replies(one, 1)
            began_s = time.monotonic()
            happen()
            handed_back = [(await node.last_reply(one)).reply for one in running]
            await eventually("its worker is gone", lambda: not worker.is_running(), YIELDS_S)
            took_s = time.monotonic() - began_s
            offer = await node.lent(0)
        assert [one.code for one in handed_back if isinstance(one, AssignmentFailed)] == [FailureCode.HANDED_BACK] * 2
        assert offer.owner_state is state
        [declined] = await node.replies(await node.assign(), 1)
        assert isinstance(declined.reply, AssignmentDeclined)
        assert declined.reply.reason is DeclineReason.DRAINING
        return took_s

    async def comes_back(self) -> None:
        offer = await self.node.lent(1)
        assert offer.owner_state is OwnerState.AVAILABLE
        assert isinstance((await self.node.last_reply(await self.node.assign())).reply, ResultSubmitted)


def first_connected(agent: Agent) -> datetime:
    """By then it watched its machine; when its process began tells nothing of that where the machine is busy."""
    return datetime.fromisoformat(agent.log("connected")[0]["timestamp"])


@pytest.fixture(scope="module")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("network"))
    asyncio.run(server.start())
    yield server
    server.kill()


@pytest.fixture(scope="module")
def lasting(
    lasting_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MachineFiles, Agent, Path]]:
    """An agent as a person starts it, on a machine of files."""
    ensure_weights(lambda _: None)
    door = Door(lasting_server, workloads=(WORKLOAD,))
    door.open()
    machine = MachineFiles(tmp_path_factory.mktemp("machine"))
    folder = tmp_path_factory.mktemp("agent")
    (folder / "preferences.toml").write_text(PREFERENCES)
    agent = Agent(door.url, folder, **machine.environment)
    yield machine, agent, folder
    agent.kill()
    door.close()


@pytest.fixture
async def lent(
    lasting_server: Server, lasting: tuple[MachineFiles, Agent, Path], connections: Connections
) -> AsyncIterator[Lent]:
    """The lasting agent, which lends its slot; whatever a test did to its machine is over afterwards."""
    machine, agent, folder = lasting
    await connected(agent)
    node = await dispatcher_to(lasting_server, agent, connections)
    await eventually("what was typed to start it is past", lambda: datetime.now(UTC) - first_connected(agent) > STARTED)
    lent = Lent(machine, agent, folder, node)
    yield lent
    machine.plug(is_in=True)
    machine.run_others(percent=0)
    lent.prefer("")
    await lent.told("resume")
    await node.lent(1)


async def test_input_on_a_terminal_is_yielded_to_within_a_second_until_nobody_types(lent: Lent) -> None:
    assert await lent.yields(lent.machine.type_something, OwnerState.IN_USE) <= YIELDS_S
    await lent.comes_back()


async def test_input_on_a_keyboard_is_yielded_to_within_a_second(lent: Lent) -> None:
    assert await lent.yields(lent.machine.press_a_key, OwnerState.IN_USE) <= YIELDS_S


async def test_the_end_of_the_hours_is_yielded_to_within_a_second(lent: Lent) -> None:
    hour = (datetime.now().astimezone() + timedelta(hours=2)).hour
    hours = f"start_hour = {hour}\nend_hour = {(hour + 1) % 24}\n"
    assert await lent.yields(lambda: lent.prefer(hours), OwnerState.OUT_OF_HOURS) <= YIELDS_S
    status = await lent.told("status")
    assert f"next window {hour:02}:00" in status["line"]


async def test_a_dear_hour_is_yielded_to_within_a_second_of_its_beginning(lent: Lent) -> None:
    dear = datetime.now(UTC) + timedelta(seconds=2)
    dear = dear.replace(microsecond=0) + timedelta(seconds=1)
    rows = [(dear - timedelta(hours=1), "0.10"), (dear, "0.40"), (dear + timedelta(hours=1), "0.10")]
    (lent.folder / "prices.csv").write_text(
        "start,price\n" + "".join(f"{start.isoformat()},{price}\n" for start, price in rows)
    )
    lent.prefer('energy_price_file = "prices.csv"\nenergy_price_max = 0.2\n')

    def wait_for_it() -> None:
        time.sleep(max((dear - datetime.now(UTC)).total_seconds(), 0))

    assert await lent.yields(wait_for_it, OwnerState.PRICE_HIGH) <= YIELDS_S + 3
    late_s = (datetime.now(UTC) - dear).total_seconds()
    assert late_s <= YIELDS_S + 0.5  # with the reply to one more assignment
    assert (await lent.told("status"))["reason"] == "price_high"


async def test_a_pause_hands_back_what_runs_before_it_is_answered(lent: Lent) -> None:
    def pause() -> None:
        assert lent.tell("pause", "--for", "1h")["reason"] == "paused"

    await lent.yields(pause, OwnerState.PAUSED)
    status = await lent.told("status")
    assert (status["stance"], status["workers"], status["running"]) == ("yielding", 0, 0)
    assert 3_500 < status["changes_in_s"] <= 3_600
    assert (await lent.told("resume"))["stance"] == "lending"
    await lent.comes_back()


async def test_a_worker_rests_after_each_task_so_that_it_has_half_a_cpu(lent: Lent) -> None:
    with lent.agent.frozen_worker():  # so that the second waits for the whole of the first
        first, second = [await lent.node.assign() for _ in range(2)]
        for one in (first, second):
            await lent.node.replies(one, 1)
    results = [(await lent.node.last_reply(one)).reply for one in (first, second)]

    assert isinstance(results[0], ResultSubmitted)
    assert isinstance(results[1], ResultSubmitted)
    assert results[1].timing.queue >= results[0].timing.infer * 2 - ROUNDED_MS


async def test_finish_ends_what_runs_and_stays_idle(lent: Lent) -> None:
    with lent.agent.frozen_worker() as worker:
        running = await lent.node.assign()
        await lent.node.replies(running, 1)
        await lent.told("finish")
        offer = await lent.node.lent(0)
    result = (await lent.node.last_reply(running)).reply
    await eventually("its worker is gone", lambda: not worker.is_running())

    assert offer.owner_state is OwnerState.FINISHING
    assert isinstance(result, ResultSubmitted)
    assert (await lent.told("status"))["stance"] == "finishing"
    await lent.told("resume")
    await lent.comes_back()


async def test_its_door_is_its_folders_owners_alone(lent: Lent) -> None:
    mode = (lent.folder / "control.sock").stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_mistyped_preference_changes_nothing_and_is_told_with_the_nearest(lent: Lent) -> None:
    lent.prefer("run_on_battery = true\n")
    deadline_s = time.monotonic() + YIELDS_S
    while not (status := await lent.told("status"))["preferences_error"]:
        assert time.monotonic() < deadline_s + 2

    assert "did you mean `run_on_batteries`?" in status["preferences_error"]
    assert status["stance"] == "lending"


async def test_it_writes_its_log_into_its_folder_too(lent: Lent) -> None:
    ran = await asyncio.to_thread(
        subprocess.run,
        [GRIDLIGHT, "node", "logs", "--data", str(lent.folder)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "a worker is ready" in ran.stdout
    assert (lent.folder / "agent.jsonl").stat().st_size


# Agents of their own


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Starts an agent on a machine of files, in the same folder each time; no network is needed."""
    machine = MachineFiles(tmp_path / "machine")
    agents: list[Agent] = []

    def begin(url: str = "http://127.0.0.1:9", *options: str, **more: str) -> Agent:
        agents.append(Agent(url, tmp_path / "agent", *options, **{**machine.environment, **more}))
        return agents[-1]

    yield begin
    for agent in agents:
        if agent.is_running:
            agent.kill()


def status_of(folder: Path, request: ControlRequest) -> NodeStatus | None:
    """None until the agent listens."""
    try:
        answer = ask(folder, request)
    except NoAgent:
        return None
    assert isinstance(answer, NodeStatus)
    return answer


async def test_a_pause_outlives_the_agent(start: Callable[..., Agent], tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    agent = start()
    await eventually("it listens", lambda: status_of(folder, AskPause()))
    agent.kill()
    start()
    await eventually("it looks", lambda: (status := status_of(folder, AskStatus())) and status.seen)

    status = status_of(folder, AskStatus())
    assert status is not None
    assert status.reason is PauseReason.PAUSED
    assert not status.is_connected


async def test_a_mistyped_preference_keeps_it_from_starting(start: Callable[..., Agent], tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "preferences.toml").write_text("run_on_battery = true\n")
    agent = start()

    assert await agent.ended() == 1
    [line] = agent.errors.splitlines()
    assert line.startswith("gridlight: ")
    assert "did you mean `run_on_batteries`?" in line


async def test_nothing_large_is_fetched_out_of_the_networks_hours(
    lasting_server: Server, start: Callable[..., Agent], tmp_path: Path
) -> None:
    ensure_weights(lambda _: None)
    folder, hour = tmp_path / "agent", (datetime.now().astimezone() + timedelta(hours=2)).hour
    folder.mkdir()
    (folder / "preferences.toml").write_text(f"net_start_hour = {hour}\nnet_end_hour = {(hour + 1) % 24}\n")
    door = Door(lasting_server, workloads=(WORKLOAD,))
    door.open()
    agent = start(door.url, GRIDLIGHT_CACHE=str(tmp_path / "cache"))
    await eventually("it joins", lambda: agent.log("enrolled"))
    await eventually("it looks", lambda: (status := status_of(folder, AskStatus())) and status.seen)
    status = status_of(folder, AskStatus())
    fetched_by_then = list(door.fetched)

    (folder / "preferences.toml").write_text("")
    await eventually("it fetches", lambda: agent.log("a worker is ready"))
    agent.kill()
    door.close()

    assert status is not None
    assert status.reason is PauseReason.OUT_OF_NETWORK_HOURS
    assert fetched_by_then == []
    assert len(door.fetched) == 1


async def test_fewer_cpus_end_a_worker_when_its_task_is_done(
    lasting_server: Server, start: Callable[..., Agent], connections: Connections, tmp_path: Path
) -> None:
    ensure_weights(lambda _: None)
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "preferences.toml").write_text("max_ncpus_pct = 100\n")
    door = Door(lasting_server, workloads=(WORKLOAD,))
    door.open()
    agent = start(door.url, "--slots", "2")
    await connected(agent)
    node = Dispatcher(await connections.open(lasting_server, lasting_server.privileged()), agent.node_id)
    await node.follow()
    await node.ask_again()
    await node.lent(2)
    workers = agent.process.children()
    for worker in workers:
        worker.suspend()
    running = [await node.assign() for _ in range(2)]
    for one in running:
        await node.replies(one, 1)
    (folder / "preferences.toml").write_text("max_ncpus_pct = 50\n")
    await node.lent(1)
    both = [worker.is_running() for worker in workers]
    for worker in workers:
        worker.resume()
    results = [(await node.last_reply(one)).reply for one in running]
    await eventually("one is enough", lambda: len(agent.process.children()) == 1)
    door.close()

    assert both == [True, True]
    assert [type(one) for one in results] == [ResultSubmitted] * 2
