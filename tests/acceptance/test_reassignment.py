"""A task whose node dies or falls silent goes to another one in time.

Which node has the task is made certain: the other two are kept busy by pinned tasks, on workers that are frozen. None
of these answers is checked: an audit, which comes up to a second later, would take a place in the next trap.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.acceptance.callers import Ended, ask
from tests.acceptance.stand import TASKS_HELD_MAX, Network, frozen, kill, running, until, worker_of

from gridlight.client.requester import Gridlight
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import Assurance

REASSIGNED_MS = 1_100
ACK_SOFT_MS = 600
ACK_HARD_MS = 1_000
BOUND_S = 5.0

HELD_MS = 20_000
"""What keeps the others busy has time to spare: on a machine that stumbles it must outlive what is looked at."""

ACKS = "gridlight_task_ack_seconds_count"
OPEN = "gridlight_jobs_open"


def before_its_run_ms(ended: Ended) -> int:
    """How long the request waited before the node that answered it ran it, at most: this counts the way back."""
    assert ended.response is not None
    timing = ended.response.timing_ms
    return timing.total - timing.picture - timing.infer


class Trap:
    """Three nodes: two that are busy until they are let go, and one that the next ordinary request must go to."""

    def __init__(self, network: Network, bus: Path, pool: ThreadPoolExecutor, stack: ExitStack) -> None:
        self.network = network
        self.agents = network.agents()
        self.others: list[NodeId] = list(self.agents)[1:]
        self.node_id: NodeId = next(iter(self.agents))
        self.agent = self.agents[self.node_id]
        self._bus = bus
        self._pool = pool
        self._stack = stack
        self._administrator = stack.enter_context(network.administrator())
        self._requester = stack.enter_context(Gridlight(network.url))
        self._wake = stack.enter_context(frozen(*(worker_of(self.agents[node_id]) for node_id in self.others)))
        acks = network.metric(ACKS)
        pins = [node_id for node_id in self.others for _ in range(network.tasks_held(node_id))]
        self.busy = len(pins)
        self._pinned = [
            pool.submit(ask, self._administrator, bus, node=node_id, deadline_ms=HELD_MS, verify=Assurance.NONE)
            for node_id in pins
        ]
        until(lambda: network.metric(ACKS) >= acks + len(pins), BOUND_S, "the pinned tasks to be acknowledged")

    def freeze_its_worker(self) -> None:
        """Whatever the node gets, it acknowledges and does not finish."""
        self._stack.enter_context(frozen(worker_of(self.agent)))

    def freeze_its_agent(self) -> None:
        """Whatever the node gets, it does not even acknowledge."""
        self._stack.enter_context(frozen(self.agent))

    def ask(self) -> "Future[Ended]":
        """An ordinary request, but for audits: one of those would take a place in the next test's trap."""
        return self._pool.submit(ask, self._requester, self._bus, verify=Assurance.NONE)

    def ask_until_acknowledged(self) -> "Future[Ended]":
        """Returns when the one node that is free has said that it took it."""
        acks = self.network.metric(ACKS)
        asked = self.ask()
        until(lambda: asked.done() or self.network.metric(ACKS) > acks, BOUND_S, "the node to acknowledge")
        assert not asked.done(), str(asked.result())
        return asked

    def let_go(self) -> None:
        """The other two finish what they had, and are free."""
        self._wake()
        assert [str(one.result(BOUND_S)) for one in self._pinned if one.result(BOUND_S).response is None] == []

    def check(self, ended: Ended) -> None:
        """Answered by another node, given the task once more; on a busy machine it may look late first."""
        assert ended.response is not None, str(ended)
        assert ended.response.node_id in self.others
        assert ended.response.attempts == 2


@pytest.fixture(scope="module")
def three(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Nodes too young for a latency record of their own, so that no hedge is sent within 2 s."""
    with running(tmp_path_factory.mktemp("three"), nodes=3) as network:
        yield network


@pytest.fixture
def trap(three: Network, bus: Path) -> Iterator[Trap]:
    three.settle(bus)
    with ThreadPoolExecutor(2 * TASKS_HELD_MAX + 1) as pool, ExitStack() as stack:
        yield Trap(three, bus, pool, stack)


def test_the_task_of_a_killed_node_is_answered_by_another_within_1100_ms(trap: Trap) -> None:
    trap.freeze_its_worker()
    asked = trap.ask_until_acknowledged()
    trap.let_go()
    assert not asked.done()

    killed_s = time.monotonic()
    kill(trap.agent.pid)

    ended = asked.result(BOUND_S)
    trap.check(ended)
    assert (ended.ended_s - killed_s) * 1_000 <= REASSIGNED_MS


def test_the_task_of_a_node_that_does_not_ack_is_given_to_a_second_one_after_600_ms(trap: Trap) -> None:
    trap.freeze_its_agent()
    asked = trap.ask()
    until(lambda: trap.network.metric(OPEN) == trap.busy + 1, BOUND_S, "the request to be on its way")
    trap.let_go()

    ended = asked.result(BOUND_S)
    trap.check(ended)
    assert ended.lasted_ms >= ACK_SOFT_MS
    assert before_its_run_ms(ended) < ACK_HARD_MS


def test_where_no_node_was_free_at_600_ms_it_is_given_away_at_1000_ms(trap: Trap) -> None:
    trap.freeze_its_agent()
    asked = trap.ask()
    started_s = time.monotonic()
    until(lambda: time.monotonic() > started_s + 0.75, BOUND_S, "the soft limit to pass")
    trap.let_go()

    ended = asked.result(BOUND_S)
    trap.check(ended)
    assert ended.lasted_ms >= ACK_HARD_MS
    # When it was given away is a test of the core, where time stands still; here the second node still had its second.
    assert before_its_run_ms(ended) <= 2 * ACK_HARD_MS


def test_a_task_whose_worker_is_killed_is_given_to_another_node(trap: Trap) -> None:
    worker = worker_of(trap.agent)
    trap.freeze_its_worker()
    asked = trap.ask_until_acknowledged()
    trap.let_go()

    killed_s = time.monotonic()
    worker.kill()

    ended = asked.result(BOUND_S)
    trap.check(ended)
    assert (ended.ended_s - killed_s) * 1_000 <= REASSIGNED_MS
    assert trap.network.agents()[trap.node_id] == trap.agent, "the agent itself goes on"
