"""The checks of verification have teeth: each property is broken once, on purpose, and its check says so."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.simulation.running import hostile, ran

from gridlight.core import attempts, checking, draw, placement, scheduling, verification
from gridlight.core.budget import HedgeBudget
from gridlight.core.canaries import Canaries
from gridlight.core.docket import Docket
from gridlight.core.epochs import Epochs, commitment
from gridlight.core.notices import CheckDecided, FaultFound
from gridlight.core.reputation import Reputation
from gridlight.core.roster import Roster
from gridlight.core.scheduling import Scheduling
from gridlight.core.task_table import TaskTable
from gridlight.core.verification import Verifier
from gridlight.messages.host import AnnounceCoordinator
from gridlight.messages.ids import Blake3Digest
from gridlight.messages.limits import DITHER_BITS
from gridlight.messages.trust import (
    KeepInput,
    RecordCommit,
    RecordEpoch,
    RecordStanding,
    RecordVerification,
    Role,
    Tier,
    Verification,
)
from gridlight.simulation.demands import CheckFailed
from gridlight.simulation.scenario import Attempts, Fleet, Scenario, Strategy

Patch = pytest.MonkeyPatch


def after(patch: Patch, owner: type, name: str, change: Callable[..., Any]) -> None:
    """Let `change` have the machine, what it was given, and what it made of it."""
    kept = getattr(owner, name)
    patch.setattr(owner, name, lambda self, *given, **options: change(self, given, kept(self, *given, **options)))


def leases_never_end(patch: Patch) -> None:
    for module in (attempts, scheduling):
        patch.setattr(module, "LEASE_GRACE_MS", 60_000)


def hedges_without_a_budget(patch: Patch) -> None:
    patch.setattr(HedgeBudget, "can_spend", lambda _self, **_options: True)
    patch.setattr(HedgeBudget, "spend", lambda _self: None)
    patch.setattr(placement, "HEDGE_SHARE", 40)
    patch.setattr(placement, "HEDGE_LATEST_SHARE", 40)


def acts_on_strangers(patch: Patch) -> None:
    after(patch, Scheduling, "_acknowledged", lambda _self, _given, outputs: outputs or [AnnounceCoordinator()])


def holds_silence_against_a_node(patch: Patch) -> None:
    def fault(self: Verifier, given: Any, outputs: list[Any]) -> list[Any]:
        case = given[1]
        served = case.served
        if served.node_id is None:
            return outputs
        digest = served.output_digest
        said = Blake3Digest("f" * 64)
        found = FaultFound(
            served.node, served.node_id, case.commit, Role.PRIMARY, said, digest, None, False, case.job.workload
        )
        return [*outputs, found]

    after(patch, Verifier, "_agreed", fault)


def asks_the_same_operator(patch: Patch) -> None:
    patch.setattr(Roster, "screen_for_check", Roster.screen)


def checks_before_the_commit(patch: Patch) -> None:
    def forget(_self: Verifier, _given: Any, outputs: list[Any]) -> list[Any]:
        return [one for one in outputs if type(one) is not RecordCommit]

    after(patch, Verifier, "_committed", forget)


def keeps_no_input(patch: Patch) -> None:
    def forget(_self: Verifier, _given: Any, outputs: list[Any]) -> list[Any]:
        return [one for one in outputs if type(one) is not KeepInput]

    after(patch, Verifier, "_committed", forget)


def finalises_what_came_later(patch: Patch) -> None:
    kept = Docket.settle
    patch.setattr(Docket, "settle", lambda self, node, node_id, commit: kept(self, node, node_id, commit + 40))


def commits_in_another_name(patch: Patch) -> None:
    def rename(_self: Verifier, _given: Any, outputs: list[Any]) -> list[Any]:
        return [replace(one, output_digest="e" * 64) if type(one) is RecordCommit else one for one in outputs]

    after(patch, Verifier, "_committed", rename)


def asks_checkers_something_else(patch: Patch) -> None:
    def reseed(_self: TaskTable, _given: Any, task: Any) -> Any:
        task.probe_seed ^= 1 << DITHER_BITS
        return task

    after(patch, TaskTable, "open_check", reseed)


def issues_canaries_twice(patch: Patch) -> None:
    def put_back(self: Canaries, _given: Any, canary: Any) -> Any:
        if canary is not None:
            self.kept.append(canary)
        return canary

    after(patch, Canaries, "take", put_back)
    after(patch, Docket, "close", lambda _self, _given, outputs: outputs[:-1])


def audits_whom_it_likes(patch: Patch) -> None:
    patch.setattr(verification, "draw_keyed", lambda _key, label, *numbers: draw.draw_keyed(b"mine", label, *numbers))


def reveals_too_early(patch: Patch) -> None:
    def reveal(self: Epochs, _given: Any, records: list[Any]) -> list[Any]:
        assert self.epoch is not None
        secret = self.key.hex()
        return [*records, RecordEpoch(epoch=self.epoch, commitment=commitment(secret), secret=secret)]

    after(patch, Epochs, "begin", reveal)


def audits_less_than_is_due(patch: Patch) -> None:
    patch.setattr(Reputation, "audit_ppm", lambda _self, _node: 300_000)


def lets_a_fault_pay(patch: Patch) -> None:
    def raised(_self: Reputation, _given: Any, outputs: list[Any]) -> list[Any]:
        return [replace(one, clean_run=one.clean_run + 9) if type(one) is RecordStanding else one for one in outputs]

    after(patch, Reputation, "_fault", raised)


def lifts_bans(patch: Patch) -> None:
    kept = Reputation._decided

    def lift(self: Reputation, now_ms: int, event: Any) -> Any:
        if Tier.BANNED in self.tiers() and self.tiers()[Tier.BANNED]:
            node = next(node for node in range(len(self._tiers)) if self.tier_of(node) is Tier.BANNED)
            return [*kept(self, now_ms, event), *self._set_tier(node, Tier.SHADOW)]
        return kept(self, now_ms, event)

    patch.setattr(Reputation, "_decided", lift)


def serves_what_newcomers_say(patch: Patch) -> None:
    patch.setitem(checking._TIER_OF, Role.AUDIT, Tier.SHADOW)


def gives_runs_away(patch: Patch) -> None:
    def pay_twice(self: Reputation, given: Any, outputs: list[Any]) -> list[Any]:
        event = given[1]
        assert isinstance(event, CheckDecided)
        if not event.is_execution:
            return outputs
        self._clean_runs[event.node] += 5
        return [*outputs, self._record(event.node)]

    after(patch, Reputation, "_decided", pay_twice)


def gives_an_operator_everything(patch: Patch) -> None:
    patch.setattr(Roster, "is_over_share", lambda _self, _operator: False)


def lets_answers_lie(patch: Patch) -> None:
    patch.setattr(Verifier, "_expire", lambda _self, _now_ms, _node: [])


def leaves_disputes_open(patch: Patch) -> None:
    patch.setattr(Verifier, "_convicted", lambda _self, _case, _finding: [])
    patch.setattr(Docket, "check", lambda _self: None)


def says_two_things_for_good(patch: Patch) -> None:
    def void_too(_self: Docket, given: Any, outputs: list[Any]) -> list[Any]:
        void = RecordVerification(commit=given[0].commit, verification=Verification.VOID)
        return [*outputs, void]

    after(patch, Docket, "convict", void_too)


def corrects_by_itself(patch: Patch) -> None:
    def correct(_self: Docket, given: Any, outputs: list[Any]) -> list[Any]:
        if not outputs:
            return outputs
        case = given[0]
        corrected = RecordVerification(
            commit=case.commit, verification=Verification.CORRECTED, output=case.served.output
        )
        return [*outputs, corrected]

    after(patch, Docket, "dispute", correct)


def forgets_forced_audits(patch: Patch) -> None:
    kept = Reputation.restore
    patch.setattr(
        Reputation, "restore", lambda self, snapshot: kept(self, replace(snapshot, forced=bytes(len(snapshot.forced))))
    )


PLAIN = hostile()
PAIRED = replace(PLAIN, fleet=replace(PLAIN.fleet, nodes_per_operator=4))
CAPPED = replace(
    PLAIN,
    trust=PLAIN.trust | {"operator_share_ppm": 100_000},
    fleet=Fleet(age_min=50, age_max=200, newcomers_ppm=0),
)
VANISHING = replace(
    PLAIN, attempts=Attempts(vanish_ppm=100_000, silent_ppm=1_000_000, ack_ms=50, silence_seen_ms=30_000)
)
EPOCHS = replace(PLAIN, epoch_seconds=5)
REPLAYED = replace(PLAIN, checks=replace(PLAIN.checks, replay_each=100))

BREAKS: dict[Callable[[Patch], None], tuple[str, Scenario]] = {
    leases_never_end: ("P10", VANISHING),
    hedges_without_a_budget: ("P11", PLAIN),
    acts_on_strangers: ("P12", VANISHING),
    holds_silence_against_a_node: ("P13", PLAIN),
    asks_the_same_operator: ("P14", PAIRED),
    checks_before_the_commit: ("P15", PLAIN),
    keeps_no_input: ("P15", PLAIN),
    finalises_what_came_later: ("P15, P28", PLAIN),
    commits_in_another_name: ("P16", PLAIN),
    asks_checkers_something_else: ("P17", PLAIN),
    issues_canaries_twice: ("P18", PLAIN),
    audits_whom_it_likes: ("P19: who is audited", PLAIN),
    reveals_too_early: ("P19: no secret is revealed", EPOCHS),
    audits_less_than_is_due: ("P26", PLAIN),
    lets_a_fault_pay: ("P27", PLAIN),
    lifts_bans: ("P27: a ban is for good", PLAIN),
    serves_what_newcomers_say: ("P28", PLAIN),
    gives_runs_away: ("P29", PLAIN),
    gives_an_operator_everything: ("P31", CAPPED),
    lets_answers_lie: ("L2", PLAIN),
    leaves_disputes_open: ("in dispute|L2|P10", PLAIN),
    says_two_things_for_good: ("P6", PLAIN),
    corrects_by_itself: ("only a reference node or a panel corrects", PLAIN),
    forgets_forced_audits: ("replay", REPLAYED),
}
SEEDS = range(2)


@pytest.fixture
def patch() -> Iterator[Patch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
def test_a_core_that_breaks_its_word_is_caught(break_it: Callable[[Patch], None], patch: Patch) -> None:
    break_it(patch)
    check, scenario = BREAKS[break_it]

    with pytest.raises(CheckFailed, match=check):
        assert all(ran(scenario, seed).measures.ended for seed in SEEDS)


@pytest.mark.parametrize("scenario", [PLAIN, PAIRED, CAPPED, VANISHING, REPLAYED])
def test_the_whole_core_keeps_its_word_there(scenario: Scenario) -> None:
    for seed in SEEDS:
        truth = ran(scenario, seed).truth
        assert truth.wrong_provisional > 3
        assert truth.banned > truth.honest_banned


@pytest.mark.parametrize("strategy", Strategy)
def test_no_strategy_makes_the_core_break_its_word(strategy: Strategy) -> None:
    scenario = replace(
        hostile(strategy, seconds=40),
        adversary=replace(hostile(strategy).adversary, recognised_ppm=500_000, operators=3),
    )

    world = ran(scenario, 5)

    assert world.truth.committed > 500
    # What liars had open when they were banned is void: by seed, a seventh to a fifth of all.
    assert world.truth.finals > 0.75 * world.truth.committed
