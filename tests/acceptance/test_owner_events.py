"""The operator of a node that is at work needs the machine: the requester is answered in time, by another node.

Which node has the task is made certain: the other one is kept busy by pinned tasks, on a worker that is frozen.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
from tests.acceptance.callers import ask
from tests.acceptance.stand import GRIDLIGHT, TASKS_HELD_MAX, Network, frozen, gridlight, running, until, worker_of
from tests.integration.machine_stand import MachineFiles

from gridlight.client.requester import Gridlight
from gridlight.messages.control import AskPause, AskResume, AskStatus, ControlRequest, NodeStatus, PauseReason
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Assurance
from gridlight.services.agent.control import ask as tell_agent

YIELDS_MS = 1_000
DEADLINE_MS = 4_000
BOUND_S = 8.0
STARTED_S = 4.0
ACKS = "gridlight_task_ack_seconds_count"
UNCHECKED = Assurance.NONE
"""So that no audit takes the place of what a test sends."""

PREFERENCES = "idle_time_to_run = 0.034\n"


class Volunteer:
    """A node that its operator started by hand, on a machine of files; trusted by the network."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder / "node"
        self.machine = MachineFiles(folder / "machine")
        self.folder.mkdir()
        self.prefer("")
        self.node_id = NodeId(gridlight("node", "id", "--data", self.folder).stdout.strip())
        word = self.folder / "endorsement"
        gridlight("network", "endorse", self.node_id, "--as", "trusted", "--data", network.folder, "--out", word)
        words = [GRIDLIGHT, "node", "start", "--network", network.url, "--data", str(self.folder)]
        words += ["--engine", "subprocess"]  # so that its worker is found among its children
        with (folder / "stderr").open("wb") as errors:
            environment = {**os.environ, **self.machine.environment}
            self.started = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=errors, env=environment)
        self.agent = psutil.Process(self.started.pid)

    def prefer(self, text: str) -> None:
        (self.folder / "preferences.toml").write_text(PREFERENCES + text)

    def say(self, request: ControlRequest) -> NodeStatus:
        """As the command line does, which takes the better part of a second to start itself."""
        answer = tell_agent(self.folder, request)
        assert isinstance(answer, NodeStatus)
        return answer

    def come_back(self) -> None:
        """Whatever happened is over."""
        self.machine.plug(is_in=True)
        self.machine.run_others(percent=0)
        self.prefer("")
        self.say(AskResume())

    def stop(self) -> None:
        self.started.terminate()
        self.started.wait(BOUND_S)


@pytest.fixture(scope="module")
def volunteer(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volunteer]:
    folder = tmp_path_factory.mktemp("volunteer")
    with running(folder / "network", nodes=1) as network:
        volunteer = Volunteer(network, folder)
        until(lambda: time.time() - volunteer.agent.create_time() > STARTED_S, BOUND_S, "its start to be past")
        yield volunteer
        volunteer.stop()


def type_something(volunteer: Volunteer) -> None:
    volunteer.machine.type_something()


def pull_the_cord(volunteer: Volunteer) -> None:
    volunteer.machine.plug(is_in=False)


def run_others(volunteer: Volunteer) -> None:
    volunteer.machine.run_others(percent=80)


def close_the_hours(volunteer: Volunteer) -> None:
    hour = (datetime.now().astimezone() + timedelta(hours=2)).hour
    volunteer.prefer(f"start_hour = {hour}\nend_hour = {(hour + 1) % 24}\n")


def pause(volunteer: Volunteer) -> None:
    volunteer.say(AskPause(for_s=600))


@pytest.mark.parametrize(
    ("happen", "reason"),
    [
        (type_something, PauseReason.USER_ACTIVE),
        (pull_the_cord, PauseReason.ON_BATTERY),
        (run_others, PauseReason.CPU_BUSY),
        (close_the_hours, PauseReason.OUT_OF_HOURS),
        (pause, PauseReason.PAUSED),
    ],
)
def test_the_task_of_a_node_whose_operator_needs_the_machine_is_answered_in_time_by_another(
    volunteer: Volunteer, bus: Path, happen: Callable[[Volunteer], None], reason: PauseReason
) -> None:
    network = volunteer.network
    volunteer.come_back()
    [(other_id, other)] = network.agents().items()
    with (
        ThreadPoolExecutor(TASKS_HELD_MAX + 1) as pool,
        ExitStack() as stack,
        network.administrator() as administrator,
        Gridlight(network.url) as requester,
    ):
        for node_id in (other_id, volunteer.node_id):
            until(lambda: ask(administrator, bus, node=node_id, verify=UNCHECKED).response, BOUND_S, "it to serve")  # noqa: B023  (it is called at once)
        wake = stack.enter_context(frozen(worker_of(other)))
        acks, held = network.metric(ACKS), network.tasks_held(other_id)
        pinned = [pool.submit(ask, administrator, bus, node=other_id, verify=UNCHECKED) for _ in range(held)]
        until(lambda: network.metric(ACKS) == acks + held, BOUND_S, "the other node to be busy")
        worker = worker_of(volunteer.agent)
        stack.enter_context(frozen(worker))
        asked = pool.submit(ask, requester, bus, verify=UNCHECKED)
        until(lambda: network.metric(ACKS) == acks + held + 1, BOUND_S, "the volunteer to have the task")

        happened_s = time.monotonic()
        happen(volunteer)
        until(lambda: not worker.is_running(), BOUND_S, "its worker to be gone")
        gone_ms = (time.monotonic() - happened_s) * 1_000
        wake()
        ended = asked.result(BOUND_S)
        assert [one.result(BOUND_S).error for one in pinned] == [None] * held

    assert ended.response is not None, str(ended)
    assert (ended.response.node_id, ended.response.attempts, ended.response.hedged) == (other_id, 2, False)
    assert ended.lasted_ms < DEADLINE_MS
    assert gone_ms <= YIELDS_MS
    status = volunteer.say(AskStatus())
    assert (status.reason, status.done.failed) == (reason, 0)
