"""What one machine tells another: facts that stay inside the core and are passed on by the router."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gridlight.messages.codec import Effect
from gridlight.messages.ids import AssignmentId, Blake3Digest, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import JobSubmitted
from gridlight.messages.nodes import OwnerState
from gridlight.messages.operators import Hold
from gridlight.messages.trust import CheckOutcome, Comparison, Role, Tier
from gridlight.messages.workloads import WorkloadState

NOBODY = -1
"""Stands where a node's number could."""


class NodeKnown(Struct, frozen=True, gc=False):
    """A node enrolled, or did so again, or is held otherwise than before. Operators and prefixes are dense numbers,
    too. From fleet.
    """

    node: int
    node_id: NodeId
    operator: int
    prefix: int
    """NOBODY where it is unknown, which differs from every other."""
    endorsed: Tier | None
    hold: Hold | None = None


class KeySucceeded(Struct, frozen=True, gc=False):
    """The operator of this node has another key from now on. From fleet."""

    node: int


class CapacityChanged(Struct, frozen=True, gc=False):
    """A node in good standing lends this many slots of a workload from now on. From fleet."""

    node: int
    node_id: NodeId
    workload: WorkloadId
    slots: int
    benchmark_ms: int | None
    lookahead: int = 0
    owner_state: OwnerState = OwnerState.AVAILABLE
    """Why it lends none, where that is its operator's doing."""


class CapacityLost(Struct, frozen=True, gc=False):
    """A node lends nothing any more and whatever it was doing is lost. From fleet."""

    node: int
    is_missed: bool = False
    """It broke its word; else its connection closed."""


class NodeMissed(Struct, frozen=True, gc=False):
    """A node broke its word: no acknowledgement within 1 s, or nothing by the end of a lease. From scheduling."""

    node: int


class SlotFreed(Struct, frozen=True, gc=False):
    """A node gave a check's result and can take another task. From scheduling to itself, once its other machines have
    heard the result: it may have cost the node its tier.
    """

    node: int
    workload: WorkloadId


class TaskAnswered(Struct, frozen=True, gc=False):
    """A trusted node's answer is about to be served. From scheduling."""

    job: JobSubmitted
    probe_seed: int
    node: int
    node_id: NodeId
    assignment_id: AssignmentId
    output: bytes
    output_digest: Blake3Digest
    probes: tuple[int, ...]
    tried: tuple[int, ...] = ()
    """All who were sent the task: whoever is sent it again would know it for a check."""


class RunSeen(Struct, frozen=True, gc=False):
    """A node's result came in time, whatever it was for. From scheduling, for the books."""

    node_id: NodeId
    assignment_id: AssignmentId
    job_id: JobId
    workload: WorkloadId
    given_ms: int


class AnswerCommitted(Struct, frozen=True, gc=False):
    """The same, with the rate at which this node's answers are audited now. From reputation."""

    answered: TaskAnswered
    audit_ppm: int


class CheckWanted(Struct, frozen=True, gc=False):
    """Somebody shall run a task again. From verification.

    AUDIT goes to a trusted node, REFERENCE to a reference node, SHADOW to a newcomer, and CANARY to `node` itself; none
    to who shares a node, an operator or (where that is wanted) a prefix with `others`.
    """

    check: int
    role: Role
    job: JobSubmitted
    probe_seed: int
    """As the first node had it, or their probes could not be compared; of a dithered workload the upper bits of it."""
    others: tuple[int, ...]
    node: int = NOBODY
    draw: int = 0
    """64 bits of the epoch's secret, which choose among those who may."""


class CheckEnded(Struct, frozen=True, gc=False):
    """Somebody ran it, or nobody did in time. From scheduling."""

    check: int
    node: int = NOBODY
    node_id: NodeId | None = None
    output: bytes = b""
    output_digest: Blake3Digest | None = None
    probes: tuple[int, ...] = ()
    is_input_gone: bool = False
    assignment_id: AssignmentId | None = None
    is_nobody_there: bool = False
    """It is not that all are busy: nobody who could do it lends anything."""


class CheckDecided(Struct, frozen=True, gc=False):
    """An answer was checked: how it came out for one of those who gave it. From verification."""

    node: int
    outcome: CheckOutcome
    is_informative: bool
    """Something was found in the picture: agreeing on nothing earns nothing."""
    is_execution: bool
    """It ran for the check; a primary's own run is counted when its answer is settled."""


class CommitsSettled(Struct, frozen=True, gc=False):
    """So many answers of a node became final, and count as clean executions. From verification."""

    node: int
    count: int


class FaultFound(Struct, frozen=True, gc=False):
    """A node's answer was contradicted by who settles disputes. From verification; reputation grades it."""

    node: int
    node_id: NodeId
    commit: int
    role: Role
    said: Blake3Digest
    reference: Blake3Digest
    settled_by: NodeId | None
    are_probes_wrong: bool
    workload: WorkloadId


class AnswersVoided(Struct, frozen=True, gc=False):
    """So many answers of a node stand for nothing. From verification, for scheduling to count."""

    node: int
    count: int
    workload: WorkloadId | None = None
    """Nothing where several answers are told of at once: theirs is not remembered."""


class TierChanged(Struct, frozen=True, gc=False):
    """What a node may do changed. From reputation."""

    node: int
    tier: Tier


class TrustLost(Struct, frozen=True, gc=False):
    """A node's open answers stand for nothing any more: it, or another of its operator, was banned. From reputation."""

    node: int


class WorkloadOpened(Struct, frozen=True, gc=False):
    """Nodes may be given tasks of this workload, or another share of them may. From the catalogue."""

    workload: WorkloadId
    rollout_percent: int
    comparison: Comparison | None = None
    """How its results are compared; absent where the host said so."""


class WorkloadClosed(Struct, frozen=True, gc=False):
    """Nobody may be given tasks of this workload any more. From the catalogue."""

    workload: WorkloadId
    state: WorkloadState
    serial: int
    """Of the network's word that closed it; 0 where the program does not come with it any more."""


Notice = (
    NodeKnown
    | KeySucceeded
    | CapacityChanged
    | CapacityLost
    | NodeMissed
    | SlotFreed
    | RunSeen
    | TaskAnswered
    | AnswerCommitted
    | CheckWanted
    | CheckEnded
    | CheckDecided
    | CommitsSettled
    | AnswersVoided
    | FaultFound
    | TierChanged
    | TrustLost
    | WorkloadOpened
    | WorkloadClosed
)

Output = Effect | Notice
"""What a machine answers: effects leave the core, notices go on to other machines."""

Hears = dict[type, Callable[[int, Any], list[Output]]]
"""What a machine does on each event and notice that it hears."""
