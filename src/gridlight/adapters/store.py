"""Read models in SQL: what requesters and administrators ask about jobs, nodes, and how answers were verified.

Every list has a limit and an index, but for the nodes, of which a page shows all.
"""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Row, Select, select, union

from gridlight.adapters.schema import (
    checks,
    commits,
    epochs,
    faults,
    jobs,
    network,
    nodes,
    open_engine,
    rulings,
    standings,
    workloads,
)
from gridlight.messages.api import NodeView
from gridlight.messages.ids import AssignmentId, Blake3Digest, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import JobSubmitted, Outcome
from gridlight.messages.operator_api import RulingView
from gridlight.messages.operators import Hold
from gridlight.messages.trust import CheckOutcome, FaultGrade, Role, Tier, TrustParameters, Verification
from gridlight.messages.workloads import WorkloadState

R = TypeVar("R")


class CommitRecord(Struct, frozen=True):
    """A committed answer, and what is known of it now."""

    commit: int
    job_id: JobId
    node_id: NodeId
    assignment_id: AssignmentId
    output_digest: Blake3Digest
    epoch: int
    audit_ppm: int
    is_audited: bool
    is_bound: bool
    verification: Verification
    output: bytes | None
    """The corrected result, where the answer was wrong."""
    committed_ms: int
    changed_ms: int


class CheckRecord(Struct, frozen=True):
    """One check that is over. `node_id` checked; the answer checked was `primary_id`'s, and is worth `verification`."""

    check: int
    commit: int
    role: Role
    node_id: NodeId | None
    outcome: CheckOutcome
    output_digest: Blake3Digest | None
    at_ms: int
    primary_id: NodeId | None
    verification: Verification | None


class FaultRecord(Struct, frozen=True):
    """A node's answer was contradicted: what it said as `role`, and what settled it."""

    node_id: NodeId
    grade: FaultGrade
    commit: int
    role: Role
    said: Blake3Digest
    reference: Blake3Digest
    settled_by: NodeId | None
    are_probes_wrong: bool
    at_ms: int


class StandingRecord(Struct, frozen=True):
    """What a node's reputation is."""

    node_id: NodeId
    tier: Tier
    clean_run: int
    checks_passed: int
    faults: int
    changed_ms: int


class EpochRecord(Struct, frozen=True):
    """An epoch: committed to before it begins, its secret revealed when no draw of it matters any more."""

    epoch: int
    commitment: str
    secret: str | None
    committed_ms: int
    began_ms: int | None
    revealed_ms: int | None


class WorkloadRecord(Struct, frozen=True):
    """A workload as the network stands to it. One that comes with the program has no manifest here."""

    workload: WorkloadId
    state: WorkloadState
    serial: int
    rollout_percent: int
    expires_ms: int | None
    manifest: bytes | None
    publication: str | None
    countersignature: str | None
    changed_ms: int


class JobRecord(Struct, frozen=True):
    """A job as submitted, how it ended, where it has, and what its answer is worth, where one was committed."""

    submitted: JobSubmitted
    submitted_ms: int
    outcome: Outcome | None
    commit: CommitRecord | None = None


_CHECKS: Final = select(checks, commits.c.verification).select_from(
    checks.outerjoin(commits, checks.c.commit == commits.c.commit)
)
_NODES: Final = (
    select(nodes, standings.c.tier, standings.c.clean_run, standings.c.checks_passed, standings.c.faults)
    .select_from(nodes.outerjoin(standings, nodes.c.node_id == standings.c.node_id))
    .order_by(nodes.c.is_online.desc(), nodes.c.node_id)
)


class Store:
    """Reads the read models; the coordinator alone writes them."""

    def __init__(self, database_url: str) -> None:
        self._engine = open_engine(database_url)

    @classmethod
    def open(cls, database_url: str) -> "Store":
        """Connect lazily: the database may not be there yet."""
        return cls(database_url)

    def job(self, job_id: JobId) -> JobRecord | None:
        """One job, or None where nobody submitted it."""
        newest = select(commits).where(commits.c.job_id == job_id).order_by(commits.c.commit.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).one_or_none()
            commit = connection.execute(newest).one_or_none()
        if row is None:
            return None
        return JobRecord(
            msgspec.msgpack.decode(row.submitted, type=JobSubmitted),
            row.submitted_ms,
            None if row.outcome is None else msgspec.msgpack.decode(row.outcome, type=Outcome),
            None if commit is None else _record(commit, CommitRecord),
        )

    def nodes(self) -> list[NodeView]:
        """All enrolled nodes, those online first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_NODES).all()
        return [_node_view(row) for row in rows]

    def node(self, node_id: NodeId) -> NodeView | None:
        """One node, or None where it never enrolled."""
        with self._engine.connect() as connection:
            row = connection.execute(_NODES.where(nodes.c.node_id == node_id)).one_or_none()
        return None if row is None else _node_view(row)

    def node_ids(self) -> list[NodeId]:
        """Every enrolled node's id."""
        with self._engine.connect() as connection:
            return [NodeId(node_id) for node_id in connection.execute(select(nodes.c.node_id)).scalars()]

    def checks(self, limit: int, node_id: NodeId | None = None, commit: int | None = None) -> list[CheckRecord]:
        """The newest checks first: all, those that a node made or that its answers went through, or those of one
        answer.
        """
        wanted: list[ColumnElement[bool]] = [] if commit is None else [checks.c.commit == commit]
        if node_id is None:
            return self._records(_newest_checks(_CHECKS.where(*wanted), limit), CheckRecord)
        sides = [checks.c.node_id == node_id, checks.c.primary_id == node_id]
        # Each side by its own index and limit; `or` would sort all that either has.
        both = union(*(_newest_checks(_CHECKS.where(side, *wanted), limit).subquery().select() for side in sides))
        newest = both.subquery()
        return self._records(newest.select().order_by(newest.c.check.desc()).limit(limit), CheckRecord)

    def faults(self, node_id: NodeId | None = None, limit: int = 100) -> list[FaultRecord]:
        """The newest contradictions first, of all nodes or of one."""
        query = select(faults).order_by(faults.c.at_ms.desc(), faults.c.commit.desc()).limit(limit)
        return self._records(query if node_id is None else query.where(faults.c.node_id == node_id), FaultRecord)

    def rulings(self, limit: int) -> list[RulingView]:
        """What administrators ruled of nodes and operators, the newest first."""
        columns = (rulings.c.key, rulings.c.verdict, rulings.c.reason, rulings.c.nodes, rulings.c.at_ms)
        return self._records(select(*columns).order_by(rulings.c.ruling.desc()).limit(limit), RulingView)

    def standing(self, node_id: NodeId) -> StandingRecord | None:
        """A node's reputation, or None where nothing was ever said of it."""
        found = self._records(select(standings).where(standings.c.node_id == node_id), StandingRecord)
        return found[0] if found else None

    def epochs(self, limit: int) -> list[EpochRecord]:
        """The newest epochs first; the newest one of all is committed to and has not begun."""
        return self._records(select(epochs).order_by(epochs.c.epoch.desc()).limit(limit), EpochRecord)

    def epoch(self, epoch: int) -> EpochRecord | None:
        """One epoch, or None where it was never committed to."""
        found = self._records(select(epochs).where(epochs.c.epoch == epoch), EpochRecord)
        return found[0] if found else None

    def commits_of_epoch(self, epoch: int, after_commit: int, limit: int) -> list[CommitRecord]:
        """An epoch's committed answers in order, those after one of them: a page of all, to draw them again."""
        query = select(commits).where(commits.c.epoch == epoch, commits.c.commit > after_commit)
        return self._records(query.order_by(commits.c.commit).limit(limit), CommitRecord)

    def trust(self) -> TrustParameters | None:
        """The network's parameters as of the coordinator's last start; None before the first one."""
        with self._engine.connect() as connection:
            trust = connection.execute(select(network.c.trust)).scalar()
        return None if trust is None else msgspec.msgpack.decode(trust, type=TrustParameters)

    def workloads(self) -> list[WorkloadRecord]:
        """Every workload that the network has said anything of, the latest first."""
        query = select(workloads).order_by(workloads.c.changed_ms.desc(), workloads.c.workload)
        return self._records(query, WorkloadRecord)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _records(self, query: Select[Any], kind: type[R]) -> list[R]:
        with self._engine.connect() as connection:
            return [_record(row, kind) for row in connection.execute(query)]


def _newest_checks(query: Select[Any], limit: int) -> Select[Any]:
    return query.order_by(checks.c.check.desc()).limit(limit)


def _record(row: Row[Any], kind: type[R]) -> R:
    """A row as a record whose fields are named as its columns are."""
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, kind)


def _node_view(row: Row[Any]) -> NodeView:
    return NodeView(
        node_id=NodeId(row.node_id),
        online=row.is_online,
        operator=row.operator,
        agent_version=row.agent_version,
        cpus=row.cpus,
        memory_mib=row.memory_mib,
        slots=row.slots,
        workloads=row.workloads.split(),
        tasks_answered=row.tasks_answered,
        tier=None if row.tier is None else Tier(row.tier),
        clean_run=row.clean_run,
        checks_passed=row.checks_passed,
        faults=row.faults,
        hold=None if row.hold is None else Hold(row.hold),
    )
