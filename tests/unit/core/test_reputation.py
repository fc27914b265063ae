"""Reputation: what nodes earn, at which rate their answers are audited, and what a fault costs them."""

from itertools import pairwise

import msgspec
import pytest
from tests.unit.core.world import DIGEST, START_MS, WORKLOAD, job_id, node_id, only, submitted

from gridlight.core.notices import (
    NOBODY,
    AnswerCommitted,
    CheckDecided,
    CommitsSettled,
    FaultFound,
    NodeKnown,
    Output,
    TaskAnswered,
    TierChanged,
    TrustLost,
)
from gridlight.core.reputation import FAULTS_MAX, MILLION, Reputation, ReputationEvent, ReputationSnapshot
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import AssignmentId
from gridlight.messages.trust import (
    LAPTOP,
    CheckOutcome,
    FaultGrade,
    RecordFault,
    RecordStanding,
    Role,
    Tier,
    TrustParameters,
)

A = 800
TRUST = TrustParameters(trusted_after=A, age_ms_min=60_000, forced_audits=3)
NODE, OTHER, SIBLING = 0, 1, 2
"""SIBLING and NODE are of one operator."""


def tell(reputation: Reputation, event: ReputationEvent, *, after_ms: int = 0) -> list[Output]:
    """One event, and the invariants after it."""
    outputs = reputation.handle(START_MS + after_ms, event)
    reputation.check()
    return outputs


def known(node: int, *, operator: int | None = None, endorsed: Tier | None = None) -> NodeKnown:
    number = node % 2 if operator is None else operator
    return NodeKnown(node, node_id(node), operator=number, prefix=NOBODY, endorsed=endorsed)


def three_newcomers(trust: TrustParameters = TRUST) -> Reputation:
    reputation = Reputation()
    tell(reputation, CoordinatorStarted(seed=1, workloads=(WORKLOAD,), trust=trust))
    for node in (NODE, OTHER, SIBLING):
        tell(reputation, known(node))
    return reputation


def trusted_with(clean_run: int, trust: TrustParameters = TRUST) -> Reputation:
    """All are trusted, NODE with this clean run."""
    reputation = three_newcomers(trust)
    for node in (NODE, OTHER, SIBLING):
        tell(reputation, known(node, endorsed=Tier.TRUSTED))
    tell(reputation, CommitsSettled(NODE, clean_run - reputation.clean_run(NODE)))
    assert reputation.clean_run(NODE) == clean_run
    return reputation


def passed(node: int, *, is_informative: bool = True, is_execution: bool = True) -> CheckDecided:
    return CheckDecided(node, CheckOutcome.MATCH, is_informative, is_execution)


def fault(node: int = NODE, *, are_probes_wrong: bool = False, role: Role = Role.PRIMARY) -> FaultFound:
    return FaultFound(
        node=node,
        node_id=node_id(node),
        commit=17,
        role=role,
        said=DIGEST,
        reference=DIGEST,
        settled_by=node_id(99),
        are_probes_wrong=are_probes_wrong,
        workload=WORKLOAD,
    )


def answered(node: int) -> TaskAnswered:
    return TaskAnswered(
        job=submitted(job_id(1)),
        probe_seed=1,
        node=node,
        node_id=node_id(node),
        assignment_id=AssignmentId("0" * 16),
        output=b"",
        output_digest=DIGEST,
        probes=(),
    )


def rates(reputation: Reputation, node: int, count: int) -> list[int]:
    """At which rates the node's next answers are audited."""
    outputs = [tell(reputation, answered(node)) for _ in range(count)]
    return [one.audit_ppm for output in outputs for one in only(AnswerCommitted, output)]


# The rate


@pytest.mark.parametrize(
    ("clean_run", "audit_ppm"),
    [(0, MILLION), (A, MILLION), (A + 1, 998_752), (2 * A, 500_000), (20 * A, 50_000), (20 * A + 1, 50_000)],
)
def test_the_rate_is_a_over_the_clean_run_within_bounds(clean_run: int, audit_ppm: int) -> None:
    reputation = trusted_with(A)
    reputation.seed_standing(NODE, tier=Tier.TRUSTED, clean_run=clean_run)

    assert reputation.audit_ppm(NODE) == audit_ppm
    assert rates(reputation, NODE, 1) == [audit_ppm]


def test_the_rate_never_rises_with_the_clean_run_and_what_was_passed_never_falls_below_a() -> None:
    reputation = trusted_with(A)
    rates_by_run = []
    for clean_run in range(1, 21 * A, 37):
        reputation.seed_standing(NODE, tier=Tier.TRUSTED, clean_run=clean_run)
        rates_by_run.append(reputation.audit_ppm(NODE))
        assert clean_run > 20 * A or clean_run * rates_by_run[-1] >= min(clean_run, A) * MILLION

    assert all(one >= other for one, other in pairwise(rates_by_run))


# Newcomers


def test_a_newcomer_is_trusted_after_so_many_clean_executions_and_not_before() -> None:
    reputation = three_newcomers()
    for _ in range(A - 1):
        assert not only(TierChanged, tell(reputation, passed(NODE), after_ms=60_000))

    assert TierChanged(NODE, Tier.TRUSTED) in tell(reputation, passed(NODE), after_ms=60_000)
    assert reputation.tiers() == {Tier.SHADOW: 2, Tier.TRUSTED: 1, Tier.REFERENCE: 0, Tier.BANNED: 0}


def test_a_newcomer_is_not_trusted_before_it_is_old_enough() -> None:
    reputation = three_newcomers()
    for _ in range(A + 5):
        tell(reputation, passed(NODE), after_ms=59_999)
    assert reputation.tier_of(NODE) is Tier.SHADOW

    tell(reputation, passed(NODE), after_ms=60_000)

    assert reputation.tier_of(NODE) is Tier.TRUSTED


def test_agreeing_on_nothing_earns_nothing() -> None:
    reputation = three_newcomers()

    assert tell(reputation, passed(NODE, is_informative=False)) == []
    assert tell(reputation, CheckDecided(NODE, CheckOutcome.LOST, True, True)) == []
    assert reputation.clean_run(NODE) == 0


def test_a_primarys_own_run_is_counted_when_it_is_final_and_not_when_it_passes() -> None:
    reputation = three_newcomers()

    (standing,) = tell(reputation, passed(NODE, is_execution=False))
    assert standing == RecordStanding(node_id=node_id(NODE), tier=Tier.SHADOW, clean_run=0, checks_passed=1, faults=0)

    tell(reputation, CommitsSettled(NODE, 5))
    assert reputation.clean_run(NODE) == 5


# Endorsements


@pytest.mark.parametrize("tier", [Tier.TRUSTED, Tier.REFERENCE])
def test_an_endorsed_node_is_at_once_what_the_network_says(tier: Tier) -> None:
    reputation = three_newcomers()

    outputs = tell(reputation, known(NODE, endorsed=tier))

    assert TierChanged(NODE, tier) in outputs
    assert reputation.tier_of(NODE) is tier
    assert tell(reputation, known(NODE, endorsed=tier)) == []


def test_an_endorsed_node_begins_where_a_trusted_one_does_and_keeps_what_it_has_earned() -> None:
    reputation = three_newcomers()
    tell(reputation, known(NODE, endorsed=Tier.TRUSTED))
    assert reputation.clean_run(NODE) == A
    assert reputation.audit_ppm(NODE) == MILLION
    tell(reputation, CommitsSettled(OTHER, 3 * A))

    tell(reputation, known(OTHER, endorsed=Tier.TRUSTED))

    assert reputation.clean_run(OTHER) == 3 * A


def test_an_endorsement_does_not_lift_a_ban() -> None:
    reputation = trusted_with(A)
    tell(reputation, fault(are_probes_wrong=True))

    assert tell(reputation, known(NODE, endorsed=Tier.TRUSTED)) == []
    assert reputation.tier_of(NODE) is Tier.BANNED


# Faults


def test_a_first_contradiction_quarters_the_clean_run() -> None:
    reputation = trusted_with(20 * A)

    record, standing, lost = tell(reputation, fault(role=Role.AUDIT))

    assert record == RecordFault(
        node_id=node_id(NODE),
        grade=FaultGrade.FAULTY,
        commit=17,
        role=Role.AUDIT,
        said=DIGEST,
        reference=DIGEST,
        settled_by=node_id(99),
    )
    assert standing == RecordStanding(
        node_id=node_id(NODE), tier=Tier.TRUSTED, clean_run=5 * A, checks_passed=0, faults=1
    )
    assert lost == TrustLost(NODE)


def test_a_contradiction_leaves_nothing_that_its_node_has_open() -> None:
    """A burst of lies of which one is caught must not become final by the next answer that is honest."""
    reputation = trusted_with(20 * A)

    assert only(TrustLost, tell(reputation, fault())) == [TrustLost(NODE)]


def test_whoever_is_forgiven_is_audited_without_exception_for_a_while() -> None:
    reputation = trusted_with(1_000 * A)
    tell(reputation, fault())

    *forced, free = rates(reputation, NODE, TRUST.forced_audits + 1)

    assert forced == [MILLION] * TRUST.forced_audits
    assert free < MILLION


@pytest.mark.parametrize("endorsed", [Tier.TRUSTED, Tier.REFERENCE])
def test_an_endorsement_brought_again_does_not_undo_a_fault(endorsed: Tier) -> None:
    reputation = trusted_with(4 * A - 1)
    tell(reputation, fault())
    clean_run = reputation.clean_run(NODE)

    outputs = tell(reputation, known(NODE, endorsed=endorsed))

    assert outputs == []
    assert (reputation.tier_of(NODE), reputation.clean_run(NODE)) == (Tier.SHADOW, clean_run)


def test_a_node_that_falls_below_a_is_a_newcomer_again() -> None:
    reputation = trusted_with(4 * A - 1)

    outputs = tell(reputation, fault())

    assert TierChanged(NODE, Tier.SHADOW) in outputs


def test_a_second_contradiction_bans_the_node() -> None:
    reputation = trusted_with(20 * A - 1)
    tell(reputation, fault())

    outputs = tell(reputation, fault())

    assert [one.grade for one in only(RecordFault, outputs)] == [FaultGrade.FALSE]
    assert TierChanged(NODE, Tier.BANNED) in outputs
    assert reputation.clean_run(NODE) == 0


def test_a_contradiction_counts_against_all_nodes_of_an_operator() -> None:
    reputation = trusted_with(20 * A - 1)
    tell(reputation, fault(NODE))

    outputs = tell(reputation, fault(SIBLING))

    assert TierChanged(SIBLING, Tier.BANNED) in outputs
    assert reputation.tier_of(NODE) is Tier.TRUSTED
    assert [one.grade for one in only(RecordFault, tell(reputation, fault(OTHER)))] == [FaultGrade.FAULTY]


def test_wrong_probes_ban_at_once() -> None:
    reputation = trusted_with(20 * A)

    outputs = tell(reputation, fault(are_probes_wrong=True))

    (record,) = only(RecordFault, outputs)
    assert (record.grade, record.are_probes_wrong) == (FaultGrade.FALSE, True)
    assert reputation.tier_of(NODE) is Tier.BANNED


@pytest.mark.parametrize("clean_run", [A, 20 * A, 1_000 * A])
def test_an_old_contradiction_is_forgotten_once_the_clean_run_has_grown_by_a_over_the_lowest_rate(
    clean_run: int,
) -> None:
    reputation = trusted_with(clean_run)
    tell(reputation, fault())
    tell(reputation, CommitsSettled(NODE, 20 * A))

    record = tell(reputation, fault())[0]

    assert isinstance(record, RecordFault)
    assert record.grade is FaultGrade.FAULTY


@pytest.mark.parametrize("clean_run", [A, 20 * A, 1_000 * A])
def test_a_contradiction_is_not_forgotten_one_execution_earlier(clean_run: int) -> None:
    reputation = trusted_with(clean_run)
    tell(reputation, fault())
    tell(reputation, CommitsSettled(NODE, 20 * A - 1))

    record = tell(reputation, fault())[0]

    assert isinstance(record, RecordFault)
    assert record.grade is FaultGrade.FALSE


def test_a_ban_puts_all_open_answers_of_the_operator_in_doubt() -> None:
    reputation = trusted_with(A)

    outputs = tell(reputation, fault(are_probes_wrong=True))

    assert sorted(one.node for one in only(TrustLost, outputs)) == [NODE, SIBLING]


def test_after_a_ban_the_operators_other_nodes_are_audited_without_exception_for_a_while() -> None:
    reputation = trusted_with(A)
    for node in (SIBLING, OTHER):
        reputation.seed_standing(node, tier=Tier.TRUSTED, clean_run=4 * A)
    tell(reputation, fault(are_probes_wrong=True))

    assert rates(reputation, SIBLING, 5) == [MILLION, MILLION, MILLION, 250_000, 250_000]
    assert rates(reputation, OTHER, 1) == [250_000]


def test_a_banned_node_has_nothing_more_to_lose() -> None:
    reputation = trusted_with(A)
    tell(reputation, fault(are_probes_wrong=True))

    assert tell(reputation, fault()) == []


def test_a_banned_node_earns_no_trust_again() -> None:
    reputation = trusted_with(A)
    tell(reputation, fault(are_probes_wrong=True))

    assert only(TierChanged, tell(reputation, CommitsSettled(NODE, 30 * A), after_ms=10**9)) == []


def test_the_count_of_faults_does_not_overflow() -> None:
    trust = msgspec.structs.replace(LAPTOP, faults_forgiven=10)
    reputation = three_newcomers(trust)
    standing = RecordStanding(node_id=node_id(NODE), tier=Tier.SHADOW, clean_run=0, checks_passed=0, faults=0)
    for _ in range(FAULTS_MAX + 1):
        tell(reputation, CommitsSettled(NODE, 1_000))
        standing = only(RecordStanding, tell(reputation, fault()))[-1]

    assert standing.faults == FAULTS_MAX


# Operators


def test_a_node_that_changes_its_operator_answers_for_the_new_one() -> None:
    reputation = trusted_with(A)
    tell(reputation, known(SIBLING, operator=5))

    outputs = tell(reputation, fault(are_probes_wrong=True))

    assert [one.node for one in only(TrustLost, outputs)] == [NODE]


def test_a_restored_reputation_goes_on_as_the_first_would() -> None:
    reputation = trusted_with(20 * A)
    tell(reputation, fault())
    tell(reputation, fault(OTHER, are_probes_wrong=True))
    tell(reputation, known(SIBLING, operator=1))
    tell(reputation, passed(SIBLING))

    restored = Reputation()
    snapshot = msgspec.msgpack.encode(reputation.snapshot())
    restored.restore(msgspec.msgpack.decode(snapshot, type=ReputationSnapshot))

    restored.check()
    assert msgspec.msgpack.encode(restored.snapshot()) == snapshot
    assert rates(restored, SIBLING, 2) == rates(reputation, SIBLING, 2)
    assert tell(restored, fault(SIBLING)) == tell(reputation, fault(SIBLING))
    assert tell(restored, fault()) == tell(reputation, fault())
