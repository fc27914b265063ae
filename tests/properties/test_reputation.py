"""The rate at which answers are audited, what a fault costs, and an operator's share, for any parameters and orders."""

from collections import Counter
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.world import DIGEST, START_MS, WORKLOAD, node_id

from gridlight.core.notices import NOBODY, CheckDecided, CommitsSettled, FaultFound, NodeKnown
from gridlight.core.reputation import MILLION, Reputation
from gridlight.core.roster import HOUR_MS, Roster
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.trust import LAPTOP, CheckOutcome, Role, Tier

LOWER = {Tier.BANNED: 0, Tier.SHADOW: 1, Tier.TRUSTED: 2, Tier.REFERENCE: 3}
NODES = 5
OPERATORS = 3


@given(
    trusted_after=st.integers(1, 3_000),
    audit_ppm_min=st.integers(1, MILLION),
    clean_runs=st.lists(st.integers(0, 200_000), min_size=2, max_size=30),
)
def test_p26_the_rate_falls_with_the_clean_run_within_bounds_and_buys_what_it_is_there_for(
    trusted_after: int, audit_ppm_min: int, clean_runs: list[int]
) -> None:
    trust = msgspec.structs.replace(LAPTOP, trusted_after=trusted_after, audit_ppm_min=audit_ppm_min)
    reputation = Reputation()
    reputation.handle(START_MS, CoordinatorStarted(seed=1, workloads=(), trust=trust))
    reputation.handle(START_MS, NodeKnown(0, node_id(1), 0, NOBODY, endorsed=None))
    rates = []
    for clean_run in sorted(clean_runs):
        reputation.seed_standing(0, tier=Tier.TRUSTED, clean_run=clean_run)
        rates.append(reputation.audit_ppm(0))
        if trusted_after <= clean_run and clean_run * audit_ppm_min <= trusted_after * MILLION:
            assert clean_run * rates[-1] >= trusted_after * MILLION

    assert all(audit_ppm_min <= rate <= MILLION for rate in rates)
    assert all(one >= other for one, other in pairwise(rates))


nodes = st.integers(0, NODES - 1)
deeds = st.one_of(
    st.builds(CommitsSettled, nodes, st.integers(1, 30)),
    st.builds(CheckDecided, nodes, st.just(CheckOutcome.MATCH), st.booleans(), st.booleans()),
    st.builds(
        lambda node, endorsed: NodeKnown(node, node_id(node), node % OPERATORS, NOBODY, endorsed),
        nodes,
        st.sampled_from([None, Tier.TRUSTED]),
    ),
)
faults = st.builds(
    lambda node, *, is_probe: FaultFound(
        node, node_id(node), 1, Role.PRIMARY, DIGEST, DIGEST, None, is_probe, WORKLOAD
    ),
    nodes,
    is_probe=st.sampled_from([False, False, False, True]),
)


@given(events=st.lists(st.one_of(deeds, deeds, faults), max_size=60))
def test_p27_no_fault_raises_anything_and_no_ban_ends(
    events: list[CommitsSettled | CheckDecided | NodeKnown | FaultFound],
) -> None:
    reputation = Reputation()
    reputation.handle(START_MS, CoordinatorStarted(seed=1, workloads=(), trust=LAPTOP))
    for node in range(NODES):
        reputation.handle(START_MS, NodeKnown(node, node_id(node), node % OPERATORS, NOBODY, endorsed=None))
    for event in events:
        before = [(reputation.clean_run(node), LOWER[reputation.tier_of(node)]) for node in range(NODES)]
        reputation.handle(START_MS, event)
        reputation.check()
        after = [(reputation.clean_run(node), LOWER[reputation.tier_of(node)]) for node in range(NODES)]
        for node, (one, other) in enumerate(zip(before, after, strict=True)):
            assert one[1] > LOWER[Tier.BANNED] or other[1] == LOWER[Tier.BANNED]
            if isinstance(event, FaultFound):
                assert other[0] <= one[0]
                assert other[1] <= one[1]
                assert node == event.node or other == one
        if isinstance(event, FaultFound) and before[event.node][1] > LOWER[Tier.BANNED]:
            is_banned = after[event.node][1] == LOWER[Tier.BANNED]
            assert after[event.node][0] == (0 if is_banned else before[event.node][0] // 4)
            assert is_banned or not event.are_probes_wrong


@given(
    share_ppm=st.integers(50_000, 400_000),
    picks=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 3)), max_size=300),
)
def test_p31_no_operator_is_given_more_than_its_share_and_one(share_ppm: int, picks: list[tuple[int, int]]) -> None:
    """Forty operators lend, which is enough for the cap to stand; each pick is given where the cap allows it."""
    roster = Roster()
    roster.share_ppm = share_ppm
    for node in range(40):
        roster.know(NodeKnown(node, node_id(node), node, NOBODY, endorsed=None))
        roster.set_lending(node, is_lending=True)
    now_ms, given_now = HOUR_MS, Counter[int]()
    for node, hours in picks:
        if hours == 3 and sum(given_now.values()) > 20:
            now_ms += HOUR_MS
            given_now.clear()
            roster.give(now_ms, node)
        elif roster.is_over_share(node):
            continue
        else:
            roster.give(now_ms, node)
        given_now[node] += 1
        total = sum(given_now.values())
        assert max(given_now.values()) * MILLION <= total * share_ppm + MILLION
