"""Trust: the words of verification and reputation, the network's parameters, and the effects that record what is known.

Rates and shares are in millionths (ppm), so that no float stands in what is journalled.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gridlight.messages.ids import (
    AssignmentIdField,
    Blake3Field,
    GatewayIdField,
    JobIdField,
    NodeIdField,
)

Ppm = Annotated[int, Meta(ge=0, le=1_000_000)]
Millis = Annotated[int, Meta(ge=0, lt=2**53)]
Parameter = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Commitment = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
"""BLAKE2b-256 of the secret's bytes."""

Secret = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]


class Assurance(StrEnum):
    """How much checking a requester buys."""

    NONE = "none"
    SAMPLED = "sampled"
    AUDITED = "audited"
    ARBITRATED = "arbitrated"


class Verification(StrEnum):
    """What a requester is told of an answer. FINAL, CORRECTED and VOID are for good."""

    UNVERIFIED = "unverified"
    PROVISIONAL = "provisional"
    DISPUTED = "disputed"
    FINAL = "final"
    CORRECTED = "corrected"
    VOID = "void"


class Tier(StrEnum):
    """What a node may do: a shadow's answers are never served, a reference node settles what others dispute."""

    SHADOW = "shadow"
    TRUSTED = "trusted"
    REFERENCE = "reference"
    BANNED = "banned"


class Role(StrEnum):
    """What an assignment is for. Never sent to a node, and not to be told from what is sent."""

    PRIMARY = "primary"
    HEDGE = "hedge"
    AUDIT = "audit"
    CANARY = "canary"
    SHADOW = "shadow"
    REFERENCE = "reference"


class FaultGrade(StrEnum):
    """How a wrong answer is held against its node: FALSE bans it, FAULTY quarters its clean run."""

    FALSE = "false"
    FAULTY = "faulty"


class CheckOutcome(StrEnum):
    """How one check of an answer came out."""

    MATCH = "match"
    MISMATCH = "mismatch"
    LOST = "lost"
    """The checker, or the input, was lost; it says nothing of anybody."""


class Comparison(Struct, frozen=True, kw_only=True):
    """How two results of a workload are compared: a name of the closed first-party list, and its tolerances."""

    name: Literal["exact", "boxes", "tensors", "lines"]
    parameters: dict[str, Parameter]


class TrustParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[trust]` table. Defaults are those of the profile `production`; docs/verification.md derives them."""

    profile: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "production"
    trusted_after: Annotated[int, Meta(ge=1, le=1_000_000)] = 800
    """A: clean executions until a node is trusted; an answer is audited at the rate A / clean run."""
    audit_ppm_min: Ppm = 50_000
    age_ms_min: Millis = 7 * 86_400_000
    finality_lag: Literal[0, 1] = 1
    """Later passed audits of its node that make a provisional answer final; 0 only to compare with the oracle."""
    settle_ms_min: Millis = 30 * 60_000
    settle_tasks: Annotated[int, Meta(ge=0, le=1_000)] = 20
    settle_ms_max: Millis = 6 * 3_600_000
    """A node is audited at least once in this time: after settle_ms_min and settle_tasks, or settle_ms_max."""
    settle_grace_ms: Millis = 5 * 60_000
    """What is still provisional so long after that is void."""
    audit_delay_ms_max: Annotated[int, Meta(ge=0, le=30_000)] = 20_000
    reference_ppm: Ppm = 10_000
    """Share of audits that a reference node runs."""
    recheck_ppm: Ppm = 10_000
    """Share of the runs in a check that a reference node repeats with their own seeds, where the workload dithers."""
    canary_ppm: Ppm = 100_000
    """Share of checks that are canaries, where there are any to issue."""
    canary_delay_ms_max: Millis = 72 * 3_600_000
    """An answer that was found right is issued as a canary after up to so long, and once."""
    shadow_ppm: Ppm = 50_000
    """Shadow runs for each task, at most."""
    shadows_per_check_max: Annotated[int, Meta(ge=0, le=64)] = 4
    faults_forgiven: Annotated[int, Meta(ge=0, le=10)] = 1
    """Contradictions with sound probes that only quarter a node's clean run; a further one bans it."""
    forced_audits: Annotated[int, Meta(ge=0, le=10_000)] = 200
    """Answers that are audited without exception: of a node after a fault, of an operator's others after a ban, and of
    all of an operator's nodes after its key was rotated.
    """
    operator_share_ppm: Ppm = 5_000
    """Of an hour's tasks, and of its checks, that one operator may have; 0 sets no cap."""
    are_prefixes_distinct: bool = True
    """Whether a checker's network prefix must differ from those of all others who had the task."""


LAPTOP = TrustParameters(
    profile="laptop",
    trusted_after=8,
    age_ms_min=0,
    settle_ms_min=30_000,
    settle_tasks=0,
    settle_ms_max=30_000,
    audit_delay_ms_max=1_000,
    canary_delay_ms_max=10_000,
    shadow_ppm=50_000,
    forced_audits=20,
    operator_share_ppm=0,
    are_prefixes_distinct=False,
)
"""A network on one machine: seven nodes behind one address, and answers that settle while somebody watches."""

PRODUCTION = TrustParameters()
PROFILES = {"production": PRODUCTION, "laptop": LAPTOP}


def parameters_from(table: Mapping[str, Any]) -> TrustParameters:
    """The profile that a `[trust]` table names, but for the keys that it sets itself; ValueError names a wrong one."""
    profile = table.get("profile", PRODUCTION.profile)
    if not isinstance(profile, str) or profile not in PROFILES:
        raise ValueError(f"[trust] has no profile {profile!r}; there are {', '.join(sorted(PROFILES))}")
    known = TrustParameters.__struct_fields__
    unknown = sorted(table.keys() - set(known))
    if unknown:
        raise ValueError(f"[trust] has no key {', '.join(unknown)}; there are {', '.join(known)}")
    try:
        return msgspec.convert({**msgspec.to_builtins(PROFILES[profile]), **table}, TrustParameters)
    except msgspec.ValidationError as error:
        raise ValueError(f"[trust] has a wrong value: {error}") from error


class NodeEndorsement(Struct, frozen=True, kw_only=True, tag_field="type", tag="node.endorsement.v1"):
    """The network's word that a node is one of its founder's: signed with the network's key, carried by the node."""

    node_id: NodeIdField
    tier: Literal["trusted", "reference"]


class EpochBegan(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="epoch.began.v1"):
    """The host drew a secret for the epoch after this one; `secret` is this epoch's, drawn when the last one began."""

    epoch: Annotated[int, Meta(ge=0, lt=2**53)]
    secret: Secret
    next_secret: Secret


class KeepInput(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="input.keep.v1"):
    """To a job's gateway, before the job ends: keep its input, somebody else will be asked the same."""

    job_id: JobIdField
    gateway_id: GatewayIdField
    keep_ms: Millis
    is_canary: bool = False
    """Its owner allowed that it is used again; it is kept until released, or until the pool is full."""


class ReleaseInput(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="input.release.v1"):
    """To a job's gateway: nobody will be asked again."""

    job_id: JobIdField
    gateway_id: GatewayIdField


class RecordCommit(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="commit.record.v1"):
    """To the host: a trusted node's answer is committed, and whether it is audited has been drawn."""

    commit: int
    """Counts committed answers of this shard; what the draw is keyed with."""
    job_id: JobIdField
    node_id: NodeIdField
    assignment_id: AssignmentIdField
    output_digest: Blake3Field
    epoch: int
    audit_ppm: int
    """The rate that applied; 1,000,000 where the audit was forced."""
    is_audited: bool
    is_bound: bool
    """It becomes final by its own audit alone."""
    verification: Verification = Verification.PROVISIONAL


class RecordVerification(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="verification.record.v1"):
    """To the host: what is known of one committed answer changed."""

    commit: int
    verification: Verification
    output: bytes | None = None
    """The corrected result."""


class SettleCommits(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="commits.settle.v1"):
    """To the host: all provisional answers of a node up to this commit, but those bound to an audit, are settled."""

    node_id: NodeIdField
    commit: int
    verification: Verification


class RecordCheck(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="check.record.v1"):
    """To the host: one check of an answer is over."""

    check: int
    commit: int
    role: Role
    node_id: NodeIdField | None
    """Who checked; nobody where none was found."""
    outcome: CheckOutcome
    output_digest: Blake3Field | None = None


class RecordStanding(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="standing.record.v1"):
    """To the host: what a node's reputation is now."""

    node_id: NodeIdField
    tier: Tier
    clean_run: int
    checks_passed: int
    faults: int


class RecordFault(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="fault.record.v1"):
    """To the host: a node's answer was contradicted, with the evidence."""

    node_id: NodeIdField
    grade: FaultGrade
    commit: int
    role: Role
    said: Blake3Field
    """Digest of what the node said."""
    reference: Blake3Field
    """Digest of what settled it."""
    settled_by: NodeIdField | None = None
    """The reference node; none where a panel of operators settled it."""
    are_probes_wrong: bool = False


class RecordEpoch(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="epoch.record.v1"):
    """To the host: an epoch's commitment, before it begins, and its secret, once nothing depends on it any more."""

    epoch: int
    commitment: Commitment
    secret: Secret | None = None
