"""What the answers of a case say of each other, by its workload's rule: who agrees, what is right, who was wrong."""

from gridlight.core.cases import Answer, Case, Finding, find
from gridlight.core.comparing import Compared, compare
from gridlight.core.consensus import fuse
from gridlight.core.notices import FaultFound
from gridlight.messages.trust import Comparison, Role


def compared(rule: Comparison, one: Answer, other: Answer) -> Compared:
    """How two answers to one task compare."""
    is_one_dither = one.probe_seed == other.probe_seed
    return compare(rule, one.output, other.output, one.probes, other.probes, is_one_dither=is_one_dither)


def judge(rule: Comparison, case: Case) -> Finding:
    """What follows from all that was said of the case."""

    def matches(one: Answer, other: Answer) -> bool:
        return compared(rule, one, other).is_match

    def is_alike(one: Answer, other: Answer) -> bool:
        return compare(rule, one.output, other.output, (), ()).is_match

    return find(case, matches, is_alike)


def corrected(rule: Comparison, case: Case, finding: Finding) -> bytes:
    """What a reference node said; else what those of the panel who agree have in common."""
    assert finding.truth is not None
    if finding.settled_by is not None:
        return finding.truth.output
    agreeing = [one for one in case.answers if one.role is not Role.SHADOW and one not in finding.wrong]
    return fuse(rule, [answer.output for answer in agreeing])


def fault(rule: Comparison, case: Case, answer: Answer, finding: Finding) -> FaultFound:
    """That this answer was wrong, with what shows it."""
    assert answer.node_id is not None
    assert finding.truth is not None
    return FaultFound(
        node=answer.node,
        node_id=answer.node_id,
        commit=case.commit,
        role=answer.role,
        said=answer.output_digest,
        reference=finding.truth.output_digest,
        settled_by=finding.settled_by,
        are_probes_wrong=_are_probes_wrong(rule, case, answer, finding),
        workload=case.job.workload,
    )


def _are_probes_wrong(rule: Comparison, case: Case, answer: Answer, finding: Finding) -> bool:
    """Whether a run of the very same input had other probes; those of another dither prove nothing that bans a node."""
    right = [finding.truth, *(one for one in case.answers if one not in finding.wrong)]
    same = next((one for one in right if one is not None and one.probe_seed == answer.probe_seed), None)
    return same is not None and not compared(rule, answer, same).are_probes_equal
