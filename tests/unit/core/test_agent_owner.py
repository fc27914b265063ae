"""The node's side, when its operator needs the machine: what it withdraws, hands back and ends."""

import pytest
from tests.unit.core.test_agent import NODE, NOW_MS, assignment, finished, message, offered, ready_agent
from tests.unit.core.world import WORKLOAD, session_id

from gridlight.core.agent import (
    Agent,
    AgentEffect,
    BeliefChanged,
    KeepWorkers,
    PublishOffer,
    Reply,
    RunFailed,
    RunFinished,
    WorkerLost,
    WorkerReady,
)
from gridlight.core.owner import Belief
from gridlight.messages.control import DoneSoFar, PauseReason, Stance
from gridlight.messages.nodes import OfferChanged, OwnerState, SlotOffer
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    DeclineReason,
    FailureCode,
)


def believes(agent: Agent, belief: Belief) -> list[AgentEffect]:
    """The operator lends, or does not."""
    return list(agent.handle(NOW_MS, BeliefChanged(belief)))


YIELD = Belief(stance=Stance.YIELDING, cpus=0, reason=PauseReason.USER_ACTIVE)
FINISH = Belief(stance=Stance.FINISHING, cpus=0, reason=PauseReason.FINISHING)


def lend(cpus: int) -> Belief:
    """So many CPUs."""
    return Belief(stance=Stance.LENDING, cpus=cpus)


def test_a_node_that_yields_withdraws_its_offer_then_hands_back_and_ends_its_workers() -> None:
    agent = ready_agent()
    for number in (1, 2):
        agent.handle(NOW_MS, assignment(number))

    effects = believes(agent, YIELD)

    handed_back = [
        AssignmentFailed(assignment_id=assignment(number).assignment_id, node_id=NODE, code=FailureCode.HANDED_BACK)
        for number in (1, 2)
    ]
    offer = OfferChanged(
        node_id=NODE,
        session=session_id(1),
        offers=(SlotOffer(workload=WORKLOAD, slots=0, benchmark_ms=100),),
        owner_state=OwnerState.IN_USE,
    )
    assert effects == [
        PublishOffer(offer),
        *(Reply(failed.assignment_id, failed) for failed in handed_back),
        KeepWorkers(0),
    ]
    assert agent.is_idle
    assert agent.done == DoneSoFar(taken=2, handed_back=2)


@pytest.mark.parametrize(
    "late",
    [finished(1), RunFailed(assignment(1).assignment_id, FailureCode.WORKER_CRASHED)],
    ids=["a result", "a worker that was ended"],
)
def test_what_comes_of_a_task_that_was_handed_back_is_said_to_nobody(late: RunFinished | RunFailed) -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment(1))
    believes(agent, YIELD)

    assert not agent.is_wanted(assignment(1).assignment_id)
    assert list(agent.handle(NOW_MS, late)) == []


@pytest.mark.parametrize("belief", [YIELD, FINISH], ids=["yielding", "finishing"])
def test_a_node_that_is_not_lent_takes_nothing(belief: Belief) -> None:
    agent = ready_agent()
    believes(agent, belief)

    declined = message(agent.handle(NOW_MS, assignment(1)))

    assert isinstance(declined, AssignmentDeclined)
    assert declined.reason is DeclineReason.DRAINING


def test_a_node_that_is_lent_again_offers_what_its_workers_can_run() -> None:
    agent = ready_agent()
    believes(agent, YIELD)
    agent.handle(NOW_MS, WorkerLost(WORKLOAD))
    effects = believes(agent, lend(2))

    (offer,) = offered(agent.handle(NOW_MS, WorkerReady(WORKLOAD, 100)))

    assert effects[-1] == KeepWorkers(2)
    assert [one.slots for one in offer.offers] == [1]
    assert offer.owner_state is OwnerState.AVAILABLE
    assert isinstance(message(agent.handle(NOW_MS, assignment(1))), AssignmentAcknowledged)


def test_a_finishing_node_ends_what_runs_and_then_its_workers() -> None:
    agent = ready_agent()
    for number in (1, 2):
        agent.handle(NOW_MS, assignment(number))

    assert [type(effect) for effect in believes(agent, FINISH)] == [PublishOffer]
    assert isinstance(message(agent.handle(NOW_MS, finished(1))), ResultSubmitted)
    (reply, keep) = agent.handle(NOW_MS, finished(2))

    assert isinstance(reply, Reply)
    assert keep == KeepWorkers(0)
    assert agent.done == DoneSoFar(taken=2, finished=2)


def test_an_idle_node_that_is_to_finish_has_finished() -> None:
    assert believes(ready_agent(), FINISH)[-1] == KeepWorkers(0)


def test_fewer_cpus_are_fewer_slots_and_what_runs_goes_on() -> None:
    agent = ready_agent(workers=2)
    agent.handle(NOW_MS, assignment(1))
    agent.handle(NOW_MS, assignment(2))

    effects = believes(agent, lend(1))

    (offer,) = offered(effects)
    assert [(one.slots, one.lookahead) for one in offer.offers] == [(1, 1)]
    assert effects[1:] == [KeepWorkers(1)]
    assert agent.running == 2
    declined = message(agent.handle(NOW_MS, assignment(3)))
    assert isinstance(declined, AssignmentDeclined)
    assert declined.reason is DeclineReason.NO_FREE_SLOT


def test_it_counts_what_became_of_its_tasks() -> None:
    agent = ready_agent(workers=2)
    for number in (1, 2, 3, 4):
        agent.handle(NOW_MS, assignment(number))
    agent.handle(NOW_MS, finished(1))
    agent.handle(NOW_MS, RunFailed(assignment(2).assignment_id, FailureCode.WORKER_CRASHED))
    agent.handle(NOW_MS, RunFailed(assignment(3).assignment_id, FailureCode.CANCELLED))
    believes(agent, YIELD)

    assert agent.done == DoneSoFar(taken=4, finished=1, failed=1, handed_back=1)
