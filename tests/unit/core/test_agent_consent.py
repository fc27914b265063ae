"""What the operator revokes, or the network stops, ends on the node at once and is handed back."""

import pytest
from tests.unit.core.test_agent import NODE, NOW_MS, assignment, finished, message, offered, ready_agent
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, only

from gridlight.core.agent import BeliefChanged, ConsentRevoked, Reply, RunFailed, WorkerLost, WorkerReady
from gridlight.core.owner import Belief
from gridlight.messages.control import Stance
from gridlight.messages.nodes import SlotOffer
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    DeclineReason,
    FailureCode,
)
from gridlight.messages.workloads import StopWorkload

ENDS = [ConsentRevoked(WORKLOAD), StopWorkload(node_id=NODE, workload=WORKLOAD, serial=2)]


@pytest.mark.parametrize("end", ENDS, ids=["revoked", "stopped"])
def test_what_runs_is_handed_back_and_nothing_of_it_is_offered(end: ConsentRevoked | StopWorkload) -> None:
    agent = ready_agent(workers=2)
    agent.handle(NOW_MS, WorkerReady(OTHER_WORKLOAD, 90))
    agent.handle(NOW_MS, assignment(1))
    agent.handle(NOW_MS, assignment(2, workload=OTHER_WORKLOAD))

    effects = agent.handle(NOW_MS, end)

    assert message(effects) == AssignmentFailed(
        assignment_id=assignment(1).assignment_id, node_id=NODE, code=FailureCode.HANDED_BACK
    )
    (offer,) = offered(effects)
    assert offer.offers == (SlotOffer(workload=OTHER_WORKLOAD, slots=1, lookahead=1, benchmark_ms=90),)
    assert not agent.is_idle, "what else runs goes on"


def test_what_a_killed_worker_leaves_behind_is_passed_over() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment())
    agent.handle(NOW_MS, ConsentRevoked(WORKLOAD))

    assert not agent.is_wanted(assignment().assignment_id)
    assert not agent.handle(NOW_MS, RunFailed(assignment().assignment_id, FailureCode.WORKER_CRASHED))
    assert not agent.handle(NOW_MS, finished())
    assert not only(Reply, agent.handle(NOW_MS, WorkerLost(WORKLOAD)))
    assert agent.is_idle


def test_an_assignment_that_comes_after_is_declined() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, ConsentRevoked(WORKLOAD))

    assert isinstance(message(agent.handle(NOW_MS, assignment())), AssignmentDeclined)


def test_to_revoke_what_is_not_lent_changes_nothing() -> None:
    assert not ready_agent().handle(NOW_MS, ConsentRevoked(OTHER_WORKLOAD))


def test_what_is_accepted_again_is_lent_again() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, ConsentRevoked(WORKLOAD))

    (offer,) = offered(agent.handle(NOW_MS, WorkerReady(WORKLOAD, 70)))

    assert offer.offers == (SlotOffer(workload=WORKLOAD, slots=1, lookahead=1, benchmark_ms=70),)
    first, _ = agent.handle(NOW_MS, assignment())
    assert isinstance(first, Reply)
    assert isinstance(first.message, AssignmentAcknowledged)


def test_workloads_share_the_processors_that_are_lent() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, WorkerReady(OTHER_WORKLOAD, 90))
    agent.handle(NOW_MS, BeliefChanged(Belief(stance=Stance.LENDING, cpus=1)))
    agent.handle(NOW_MS, assignment(1))
    taken = message(agent.handle(NOW_MS, assignment(2, workload=OTHER_WORKLOAD)))
    declined = message(agent.handle(NOW_MS, assignment(3, workload=OTHER_WORKLOAD)))

    assert isinstance(taken, AssignmentAcknowledged)
    assert isinstance(declined, AssignmentDeclined)
    assert declined.reason is DeclineReason.NO_FREE_SLOT
