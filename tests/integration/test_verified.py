"""The read models of verification, in SQLite and in a real PostgreSQL: what is for good stays, and order is kept."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Engine, event
from tests.integration.databases import NewDatabase
from tests.unit.core.world import DIGEST, WORKLOAD, enrolled, job_id, node_id, submitted

from gridlight.adapters.changes import Changes
from gridlight.adapters.journal import Journal, Record
from gridlight.adapters.store import CheckRecord, EpochRecord, FaultRecord, StandingRecord, Store
from gridlight.adapters.verified import CHECKS_KEPT_MAX
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import CoordinatorStarted, RecordNode
from gridlight.messages.ids import AssignmentId, Blake3Digest, NodeId
from gridlight.messages.trust import (
    LAPTOP,
    PRODUCTION,
    CheckOutcome,
    EpochBegan,
    FaultGrade,
    RecordCheck,
    RecordCommit,
    RecordEpoch,
    RecordFault,
    RecordStanding,
    RecordVerification,
    Role,
    SettleCommits,
    Tier,
    Verification,
)

NODE, OTHER, CHECKER = node_id(1), node_id(2), node_id(3)
OTHER_DIGEST = Blake3Digest("cd" * 32)
PROVISIONAL, DISPUTED = Verification.PROVISIONAL, Verification.DISPUTED
FINAL, CORRECTED, VOID = Verification.FINAL, Verification.CORRECTED, Verification.VOID
FOR_GOOD = [FINAL, CORRECTED, VOID]


class Database:
    """A journal that batches are committed to, and what can be read from it."""

    def __init__(self, url: str) -> None:
        self.store = Store.open(url)
        self._journal = Journal(url)
        self.batches = 0

    def write(self, *effects: Effect, events: tuple[Event, ...] = ()) -> int:
        """One batch; when it was."""
        self.batches += 1
        now_ms = 1_000 * self.batches
        record = Record(self.batches, now_ms, 1, list(events))
        self._journal.commit(record, Changes(now_ms, record.events, effects))
        return now_ms

    def known(self) -> dict[int, Verification]:
        """What is known of each answer of epoch 0."""
        return {one.commit: one.verification for one in self.store.commits_of_epoch(0, 0, 1_000)}

    def close(self) -> None:
        self.store.close()
        self._journal.close()


@pytest.fixture
def database(new_database: NewDatabase) -> Iterator[Database]:
    database = Database(new_database())
    yield database
    database.close()


def committed(
    commit: int,
    node: NodeId = NODE,
    *,
    epoch: int = 0,
    is_bound: bool = False,
    verification: Verification = PROVISIONAL,
) -> RecordCommit:
    return RecordCommit(
        commit=commit,
        job_id=job_id(commit),
        node_id=node,
        assignment_id=AssignmentId(f"{commit:016x}"),
        output_digest=DIGEST,
        epoch=epoch,
        audit_ppm=50_000,
        is_audited=is_bound,
        is_bound=is_bound,
        verification=verification,
    )


def verified(commit: int, verification: Verification, output: bytes | None = None) -> RecordVerification:
    return RecordVerification(commit=commit, verification=verification, output=output)


def settled(commit: int, verification: Verification = FINAL, node: NodeId = NODE) -> SettleCommits:
    return SettleCommits(node_id=node, commit=commit, verification=verification)


def checked(
    check: int,
    commit: int = 1,
    *,
    role: Role = Role.AUDIT,
    node: NodeId | None = CHECKER,
    outcome: CheckOutcome = CheckOutcome.MATCH,
) -> RecordCheck:
    digest = None if node is None else DIGEST
    return RecordCheck(check=check, commit=commit, role=role, node_id=node, outcome=outcome, output_digest=digest)


def fault(commit: int, node: NodeId = NODE, role: Role = Role.PRIMARY) -> RecordFault:
    return RecordFault(
        node_id=node,
        grade=FaultGrade.FALSE,
        commit=commit,
        role=role,
        said=DIGEST,
        reference=OTHER_DIGEST,
        settled_by=CHECKER,
        are_probes_wrong=True,
    )


def standing(clean_run: int, tier: Tier = Tier.TRUSTED, node: NodeId = NODE) -> RecordStanding:
    return RecordStanding(node_id=node, tier=tier, clean_run=clean_run, checks_passed=2, faults=1)


# Answers


def test_a_job_says_what_its_answer_is_worth(database: Database) -> None:
    first_ms = database.write(committed(1), events=(submitted(job_id(1)), submitted(job_id(2))))
    second_ms = database.write(verified(1, DISPUTED))
    third_ms = database.write(verified(1, CORRECTED, b"right"))

    job, other = database.store.job(job_id(1)), database.store.job(job_id(2))
    assert job is not None
    assert other is not None
    assert other.commit is None
    assert job.commit is not None
    assert (job.commit.node_id, job.commit.output_digest, job.commit.audit_ppm) == (NODE, DIGEST, 50_000)
    assert (job.commit.verification, job.commit.output) == (CORRECTED, b"right")
    assert first_ms < second_ms < third_ms
    assert (job.commit.committed_ms, job.commit.changed_ms) == (first_ms, third_ms)


def test_a_settlement_means_one_nodes_provisional_answers_up_to_a_commit(database: Database) -> None:
    database.write(committed(1), committed(2, OTHER), committed(3), committed(4, is_bound=True), committed(5))
    database.write(verified(3, DISPUTED))
    settled_ms = database.write(settled(4))

    assert database.known() == {1: FINAL, 2: PROVISIONAL, 3: DISPUTED, 4: PROVISIONAL, 5: PROVISIONAL}
    changed = {one.commit: one.changed_ms for one in database.store.commits_of_epoch(0, 0, 10)}
    assert [commit for commit, changed_ms in changed.items() if changed_ms == settled_ms] == [1]


def test_a_node_that_lost_its_trust_takes_its_bound_answers_along(database: Database) -> None:
    database.write(committed(1), committed(2, is_bound=True), committed(3, is_bound=True), committed(4, OTHER))
    database.write(verified(3, DISPUTED), settled(4, VOID))

    assert database.known() == {1: VOID, 2: VOID, 3: DISPUTED, 4: PROVISIONAL}


@pytest.mark.parametrize("verification", FOR_GOOD)
def test_what_is_for_good_is_never_overwritten(database: Database, verification: Verification) -> None:
    output = b"right" if verification is CORRECTED else None
    database.write(committed(1), verified(1, verification, output))
    kept = database.store.commits_of_epoch(0, 0, 10)
    for other in Verification:
        database.write(verified(1, other, b"wrong"))
    database.write(settled(9, FINAL), settled(9, VOID), committed(1))

    assert database.store.commits_of_epoch(0, 0, 10) == kept
    assert kept[0].output == output


def test_an_answer_may_be_final_from_the_first(database: Database) -> None:
    database.write(committed(1, verification=FINAL), settled(1, VOID))

    assert database.known() == {1: FINAL}


def test_an_answer_committed_after_a_settlement_of_its_batch_is_not_settled_by_it(database: Database) -> None:
    database.write(committed(1), settled(9), committed(2))

    assert database.known() == {1: FINAL, 2: PROVISIONAL}


ANSWERS: list[Effect] = [committed(1), committed(2, is_bound=True), committed(3), committed(4, OTHER)]
MOVES: list[Effect] = [
    settled(2),
    verified(1, DISPUTED),
    verified(1, CORRECTED, b"right"),
    settled(9, VOID),
]


def test_a_batch_does_what_its_effects_do_one_by_one(
    database: Database, new_database: NewDatabase, request: pytest.FixtureRequest
) -> None:
    """In every order: alike effects share a statement, and none overtakes another kind."""
    together, apart = database, Database(new_database())
    request.addfinalizer(apart.close)
    seen: set[tuple[Verification, ...]] = set()
    for number, moves in enumerate(permutations(MOVES)):
        effects = [shifted(effect, 10 * number) for effect in (*ANSWERS, *moves)]
        together.write(*effects)
        for effect in effects:
            apart.write(effect)
        known = page(together, 10 * number)
        assert known == page(apart, 10 * number)
        seen.add(tuple(verification for verification, _ in known))

    assert len(seen) > 1  # the order does matter


def shifted(effect: Effect, by: int) -> Effect:
    """The same, of answers and nodes that no other permutation speaks of."""
    match effect:
        case RecordCommit(commit=commit, node_id=node):
            return committed(commit + by, renamed(node, by), is_bound=effect.is_bound)
        case SettleCommits(commit=commit, node_id=node, verification=verification):
            return settled(commit + by, verification, renamed(node, by))
        case RecordVerification(commit=commit, verification=verification, output=output):
            return verified(commit + by, verification, output)
        case _:
            raise AssertionError(effect)


def renamed(node: NodeId, by: int) -> NodeId:
    return node_id(10_000 + by + (node == OTHER))


def page(database: Database, by: int) -> list[tuple[Verification, bytes | None]]:
    return [(one.verification, one.output) for one in database.store.commits_of_epoch(0, by, len(ANSWERS))]


def test_an_epochs_answers_are_read_page_by_page(database: Database) -> None:
    database.write(*(committed(commit, epoch=commit % 2) for commit in range(1, 12)))

    first = database.store.commits_of_epoch(1, 0, 4)
    second = database.store.commits_of_epoch(1, first[-1].commit, 4)
    assert [one.commit for one in first + second] == [1, 3, 5, 7, 9, 11]


def test_a_settlement_looks_at_open_answers_only(database: Database, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["new_database"] != "sqlite":
        pytest.skip("PostgreSQL plans by what is in its tables")
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("UPDATE commits"):
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in plan)

    event.listen(Engine, "before_cursor_execute", explain)
    request.addfinalizer(lambda: event.remove(Engine, "before_cursor_execute", explain))
    database.write(settled(1))
    database.write(settled(1, VOID))

    assert ["commits_open (node_id=? AND commit<?)" in plan for plan in plans] == [True, True]


# Checks and faults


def test_a_check_names_whose_answer_it_was_and_what_it_is_worth_now(database: Database) -> None:
    at_ms = database.write(checked(5, outcome=CheckOutcome.MISMATCH), committed(1), verified(1, DISPUTED))
    database.write(verified(1, CORRECTED, b"right"))

    assert database.store.checks(10) == [
        CheckRecord(5, 1, Role.AUDIT, CHECKER, CheckOutcome.MISMATCH, DIGEST, at_ms, NODE, CORRECTED)
    ]


def test_a_check_of_an_answer_that_is_not_here_is_kept_all_the_same(database: Database) -> None:
    at_ms = database.write(checked(5, 7, node=None, outcome=CheckOutcome.LOST))

    assert database.store.checks(10) == [
        CheckRecord(5, 7, Role.AUDIT, None, CheckOutcome.LOST, None, at_ms, None, None)
    ]


def test_checks_are_read_newest_first_by_node_and_by_answer(database: Database) -> None:
    database.write(committed(1), committed(2, OTHER))
    database.write(checked(1, 1), checked(2, 2, node=NODE), checked(3, 2), checked(4, 1, node=OTHER), checked(5, 1))

    def numbers(checks: list[CheckRecord]) -> list[int]:
        return [one.check for one in checks]

    store = database.store
    assert numbers(store.checks(10)) == [5, 4, 3, 2, 1]
    assert numbers(store.checks(2)) == [5, 4]
    assert numbers(store.checks(10, commit=2)) == [3, 2]
    assert numbers(store.checks(10, node_id=CHECKER)) == [5, 3, 1]
    assert numbers(store.checks(10, node_id=NODE)) == [5, 4, 2, 1]
    assert numbers(store.checks(3, node_id=NODE)) == [5, 4, 2]
    assert numbers(store.checks(10, node_id=NODE, commit=2)) == [2]


def test_of_the_checks_only_the_newest_are_kept(database: Database) -> None:
    database.write(checked(1), checked(2))
    database.write(checked(CHECKS_KEPT_MAX + 1))

    assert [one.check for one in database.store.checks(10)] == [CHECKS_KEPT_MAX + 1, 2]


def test_faults_are_read_newest_first_of_all_or_of_one_node(database: Database) -> None:
    first_ms = database.write(fault(1))
    database.write(fault(2, OTHER, Role.AUDIT))
    database.write(fault(3))

    store = database.store
    assert [one.commit for one in store.faults()] == [3, 2, 1]
    assert [one.commit for one in store.faults(limit=1)] == [3]
    assert [one.commit for one in store.faults(NODE)] == [3, 1]
    assert store.faults(NODE)[-1] == FaultRecord(
        NODE, FaultGrade.FALSE, 1, Role.PRIMARY, DIGEST, OTHER_DIGEST, CHECKER, True, first_ms
    )


def test_what_is_recorded_again_is_there_once_as_it_was(database: Database) -> None:
    database.write(committed(1), checked(1), fault(1), RecordEpoch(epoch=0, commitment="ab" * 32))
    store = database.store
    before = store.commits_of_epoch(0, 0, 10), store.checks(10), store.faults(), store.epochs(10)
    database.write(
        committed(1, OTHER),
        checked(1, outcome=CheckOutcome.MISMATCH),
        fault(1),
        RecordEpoch(epoch=0, commitment="cd" * 32),
    )

    assert (store.commits_of_epoch(0, 0, 10), store.checks(10), store.faults(), store.epochs(10)) == before


# Nodes and the network


def test_a_nodes_newest_standing_is_the_one_that_counts(database: Database) -> None:
    database.write(standing(1), standing(2), standing(7, node=OTHER))
    changed_ms = database.write(standing(0, Tier.BANNED))

    assert database.store.standing(NODE) == StandingRecord(NODE, Tier.BANNED, 0, 2, 1, changed_ms)
    other = database.store.standing(OTHER)
    assert other is not None
    assert other.clean_run == 7
    assert database.store.standing(CHECKER) is None


def test_nodes_are_listed_with_their_standing_where_there_is_one(database: Database) -> None:
    for node in (NODE, OTHER):
        database.write(RecordNode(enrolled=enrolled(node), is_online=True, slots=1, workloads=(WORKLOAD,)))
    database.write(standing(5))

    views = {view.node_id: view for view in database.store.nodes()}
    known, unknown = views[NODE], views[OTHER]
    assert (known.tier, known.clean_run, known.checks_passed, known.faults) == (Tier.TRUSTED, 5, 2, 1)
    assert (unknown.tier, unknown.clean_run, unknown.checks_passed, unknown.faults) == (None, None, None, None)


def test_an_epoch_is_committed_to_then_begins_then_is_revealed(database: Database) -> None:
    secrets = ["01" * 32, "02" * 32]
    began = EpochBegan(epoch=0, secret=secrets[0], next_secret=secrets[1])
    commitments = [RecordEpoch(epoch=epoch, commitment=f"a{epoch}" * 32) for epoch in (0, 1)]
    first_ms = database.write(*commitments, events=(began,))
    revealed = RecordEpoch(epoch=0, commitment="a0" * 32, secret=secrets[0])
    last_ms = database.write(revealed, events=(began,))
    database.write(revealed)

    assert database.store.epochs(10) == [
        EpochRecord(1, "a1" * 32, None, first_ms, None, None),
        EpochRecord(0, "a0" * 32, secrets[0], first_ms, first_ms, last_ms),
    ]
    assert [one.epoch for one in database.store.epochs(1)] == [1]


def test_the_networks_parameters_are_those_of_the_last_start(database: Database) -> None:
    assert database.store.trust() is None
    database.write(events=(CoordinatorStarted(seed=1, workloads=(WORKLOAD,), trust=LAPTOP),))
    assert database.store.trust() == LAPTOP
    database.write(events=(CoordinatorStarted(seed=2, workloads=(WORKLOAD,)),))
    assert database.store.trust() == PRODUCTION
