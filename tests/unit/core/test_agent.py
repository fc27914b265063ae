"""The node's side: what it takes, what it answers, and what it offers."""

import pytest
from tests.unit.core.world import DIGEST, OTHER_WORKLOAD, OUTPUT, WORKLOAD, node_id, only, session_id

from gridlight.core.agent import (
    QUICK_MS,
    Agent,
    AgentEffect,
    BusOpened,
    InputSpoiled,
    PublishOffer,
    Reply,
    Run,
    RunFailed,
    RunFinished,
    WorkerLost,
    WorkerReady,
    lookahead_of,
)
from gridlight.messages.ids import AssignmentId, WorkloadId
from gridlight.messages.limits import SLOTS_PER_OFFER_MAX
from gridlight.messages.nodes import CancelWork, DrainNode, OfferChanged, RequestOffer, SlotOffer
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import (
    Assignment,
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    DeclineReason,
    FailureCode,
)

NODE = node_id(1)
NOW_MS = 1_000


def ready_agent(*, workers: int = 1, benchmark_ms: int = 100) -> Agent:
    """An agent on the bus whose workers are up."""
    agent = Agent(NODE)
    agent.handle(NOW_MS, BusOpened(session_id(1)))
    for _ in range(workers):
        agent.handle(NOW_MS, WorkerReady(WORKLOAD, benchmark_ms))
    return agent


def test_its_offers_tell_which_process_it_is() -> None:
    [published] = Agent(NODE).handle(NOW_MS, BusOpened(session_id(1), session_id(9)))

    assert isinstance(published, PublishOffer)
    assert (published.offer.session, published.offer.process) == (session_id(1), session_id(9))


def assignment(number: int = 1, *, workload: WorkloadId = WORKLOAD, deadline_ms: int = 4_000) -> Assignment:
    """A task for this node."""
    return Assignment(
        assignment_id=AssignmentId(f"{number:016x}"),
        workload=workload,
        deadline_ms=deadline_ms,
        input_digest=DIGEST,
        input_bytes=270_000,
        probe_seed=5,
    )


def finished(number: int = 1, *, infer_ms: int = 80, run_ms: int = 90) -> RunFinished:
    """A worker gave a result."""
    return RunFinished(assignment(number).assignment_id, OUTPUT, DIGEST, (1, 2), infer_ms, run_ms)


def message(effects: object) -> object:
    """What the one reply among some effects says."""
    assert isinstance(effects, list)
    (reply,) = only(Reply, effects)
    return reply.message


def offered(effects: object) -> list[OfferChanged]:
    """The offers among some effects."""
    assert isinstance(effects, list)
    return [effect.offer for effect in only(PublishOffer, effects)]


def test_an_assignment_is_acknowledged_before_it_runs() -> None:
    agent = ready_agent()

    effects = list(agent.handle(NOW_MS, assignment()))

    acknowledged = AssignmentAcknowledged(assignment_id=assignment().assignment_id, node_id=NODE, eta_ms=100)
    assert effects == [Reply(assignment().assignment_id, acknowledged), Run(assignment())]
    assert not agent.is_idle


def test_a_result_is_the_last_word_on_an_assignment() -> None:
    agent = ready_agent()
    (acknowledgement, _) = agent.handle(NOW_MS, assignment())

    (reply,) = agent.handle(NOW_MS, finished())

    assert isinstance(reply, Reply)
    assert reply.body == OUTPUT
    assert reply.message == ResultSubmitted(
        assignment_id=assignment().assignment_id,
        node_id=NODE,
        output_digest=DIGEST,
        output_bytes=len(OUTPUT),
        timing=RunTiming(queue=10, infer=80),
        probes=(1, 2),
    )
    assert isinstance(acknowledgement, Reply)
    assert (acknowledgement.is_last, reply.is_last) == (False, True)
    assert agent.is_idle


def test_a_worker_that_says_it_took_longer_than_it_had_waited_for_nothing() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment())

    result = message(agent.handle(NOW_MS, finished(run_ms=70)))

    assert isinstance(result, ResultSubmitted)
    assert result.timing == RunTiming(queue=0, infer=80)


def test_estimates_follow_what_runs_take() -> None:
    agent = ready_agent(benchmark_ms=100)
    for number in range(1, 100):
        agent.handle(NOW_MS, assignment(number))
        agent.handle(NOW_MS, finished(number, infer_ms=300, run_ms=900))

    acknowledged = message(agent.handle(NOW_MS, assignment(200)))

    assert isinstance(acknowledged, AssignmentAcknowledged)
    assert 290 <= acknowledged.eta_ms <= 300


def test_a_task_held_in_readiness_is_expected_after_the_one_that_runs() -> None:
    agent = ready_agent(benchmark_ms=100)
    agent.handle(NOW_MS, assignment(1))

    held = message(agent.handle(NOW_MS, assignment(2)))

    assert isinstance(held, AssignmentAcknowledged)
    assert held.eta_ms == 200


def test_a_task_that_was_cancelled_before_it_ran_is_not_wanted() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment(1))
    agent.handle(NOW_MS, assignment(2))
    assert agent.is_wanted(assignment(2).assignment_id)

    agent.handle(NOW_MS, CancelWork(assignment_id=assignment(2).assignment_id))

    assert not agent.is_wanted(assignment(2).assignment_id)


def test_an_assignment_that_comes_twice_runs_once() -> None:
    agent = ready_agent(workers=2)
    agent.handle(NOW_MS, assignment())

    assert list(agent.handle(NOW_MS, assignment())) == []


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (assignment(2), DeclineReason.NO_FREE_SLOT),
        (assignment(2, workload=OTHER_WORKLOAD), DeclineReason.UNKNOWN_WORKLOAD),
    ],
)
def test_what_cannot_be_run_is_declined_with_its_reason(asked: Assignment, reason: DeclineReason) -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment(1))  # runs
    agent.handle(NOW_MS, assignment(3))  # is held in readiness

    (reply,) = agent.handle(NOW_MS, asked)

    assert isinstance(reply, Reply)
    assert reply.message == AssignmentDeclined(assignment_id=asked.assignment_id, node_id=NODE, reason=reason)
    assert reply.is_last


def test_a_deadline_shorter_than_the_benchmark_is_declined() -> None:
    agent = ready_agent(benchmark_ms=500)

    declined = message(agent.handle(NOW_MS, assignment(1, deadline_ms=499)))
    taken = message(agent.handle(NOW_MS, assignment(2, deadline_ms=500)))

    assert isinstance(declined, AssignmentDeclined)
    assert declined.reason is DeclineReason.DEADLINE_TOO_SHORT
    assert isinstance(taken, AssignmentAcknowledged)


def test_a_draining_node_finishes_what_it_has_and_takes_nothing_more() -> None:
    agent = ready_agent(workers=2)
    agent.handle(NOW_MS, assignment(1))

    (offer,) = offered(agent.handle(NOW_MS, DrainNode()))
    declined = message(agent.handle(NOW_MS, assignment(2)))

    assert [slot_offer.slots for slot_offer in offer.offers] == [0]
    assert agent.is_draining
    assert isinstance(declined, AssignmentDeclined)
    assert declined.reason is DeclineReason.DRAINING
    assert not agent.is_idle
    assert isinstance(message(agent.handle(NOW_MS, finished(1))), ResultSubmitted)
    assert agent.is_idle


def test_a_cancelled_run_is_answered_when_its_worker_is_done() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment())

    assert list(agent.handle(NOW_MS, CancelWork(assignment_id=assignment().assignment_id))) == []
    failed = message(agent.handle(NOW_MS, finished()))

    assert failed == AssignmentFailed(
        assignment_id=assignment().assignment_id, node_id=NODE, code=FailureCode.CANCELLED
    )
    assert agent.is_idle


def test_cancelling_what_does_not_run_says_nothing() -> None:
    agent = ready_agent()

    assert list(agent.handle(NOW_MS, CancelWork(assignment_id=AssignmentId("f" * 16)))) == []
    assert isinstance(message(agent.handle(NOW_MS, assignment())), AssignmentAcknowledged)


@pytest.mark.parametrize("code", [FailureCode.WORKER_CRASHED, FailureCode.WORKER_TIMEOUT, FailureCode.WORKER_ERROR])
def test_a_run_without_a_result_is_said_to_have_failed_and_frees_its_slot(code: FailureCode) -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment(1))

    failed = message(agent.handle(NOW_MS, RunFailed(assignment(1).assignment_id, code)))

    assert failed == AssignmentFailed(assignment_id=assignment(1).assignment_id, node_id=NODE, code=code)
    assert isinstance(message(agent.handle(NOW_MS, assignment(2))), AssignmentAcknowledged)


def test_an_input_that_is_not_what_was_assigned_fails_the_assignment() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment())

    failed = message(agent.handle(NOW_MS, InputSpoiled(assignment().assignment_id)))

    assert isinstance(failed, AssignmentFailed)
    assert failed.code is FailureCode.INPUT_SPOILED
    assert agent.is_idle


def test_each_worker_is_a_slot() -> None:
    agent = ready_agent(workers=2)

    (offer,) = offered(agent.handle(NOW_MS, WorkerReady(WORKLOAD, 120)))
    (fewer,) = offered(agent.handle(NOW_MS, WorkerLost(WORKLOAD)))

    assert offer == OfferChanged(
        node_id=NODE,
        session=session_id(1),
        offers=(SlotOffer(workload=WORKLOAD, slots=3, lookahead=3, benchmark_ms=120),),
    )
    assert [slot_offer.slots for slot_offer in fewer.offers] == [2]


@pytest.mark.parametrize(("benchmark_ms", "lookahead"), [(QUICK_MS, 2), (QUICK_MS - 1, 4)])
def test_quick_runs_have_one_more_in_readiness_each(benchmark_ms: int, lookahead: int) -> None:
    agent = ready_agent(workers=2, benchmark_ms=benchmark_ms)
    [offer] = offered(agent.handle(NOW_MS, RequestOffer(node_id=NODE)))
    assert offer.offers == (SlotOffer(workload=WORKLOAD, slots=2, lookahead=lookahead, benchmark_ms=benchmark_ms),)

    said = [message(agent.handle(NOW_MS, assignment(number))) for number in range(2 + lookahead + 1)]

    assert all(isinstance(one, AssignmentAcknowledged) for one in said[:-1])
    assert isinstance(said[-1], AssignmentDeclined)
    assert said[-1].reason is DeclineReason.NO_FREE_SLOT


def test_no_more_is_held_in_readiness_than_an_offer_may_say() -> None:
    assert lookahead_of(SLOTS_PER_OFFER_MAX, 1) == SLOTS_PER_OFFER_MAX


def test_a_node_that_lost_its_worker_while_it_ran_takes_nothing_until_it_is_back() -> None:
    agent = ready_agent()
    agent.handle(NOW_MS, assignment(1))
    agent.handle(NOW_MS, WorkerLost(WORKLOAD))
    agent.handle(NOW_MS, RunFailed(assignment(1).assignment_id, FailureCode.WORKER_CRASHED))

    declined = message(agent.handle(NOW_MS, assignment(2)))
    agent.handle(NOW_MS, WorkerReady(WORKLOAD, 100))
    taken = message(agent.handle(NOW_MS, assignment(3)))

    assert isinstance(declined, AssignmentDeclined)
    assert declined.reason is DeclineReason.NO_FREE_SLOT
    assert isinstance(taken, AssignmentAcknowledged)


def test_nothing_is_offered_without_a_connection() -> None:
    agent = Agent(NODE)

    assert list(agent.handle(NOW_MS, WorkerReady(WORKLOAD, 100))) == []
    assert list(agent.handle(NOW_MS, RequestOffer(node_id=NODE))) == []


@pytest.mark.parametrize("event", [RequestOffer(node_id=NODE), BusOpened(session_id(2))])
def test_an_offer_is_published_again_on_a_new_connection_and_when_asked(event: RequestOffer | BusOpened) -> None:
    agent = ready_agent()

    (offer,) = offered(agent.handle(NOW_MS, event))

    assert offer.session == (session_id(2) if isinstance(event, BusOpened) else session_id(1))
    assert [slot_offer.slots for slot_offer in offer.offers] == [1]


def test_an_effect_is_told_from_the_others_by_its_type() -> None:
    effects: list[AgentEffect] = list(ready_agent().handle(NOW_MS, assignment()))

    assert [type(effect) for effect in effects] == [Reply, Run]
