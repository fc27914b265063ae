"""A case: one answer that is checked, all that was said of it, and what follows from that. Pure; asks and tells nobody.

The first answer is the one that was served. Nobody's word counts by rank but a reference node's; without one, four of
five operators must agree.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from msgspec import Struct

from gridlight.core.notices import NOBODY
from gridlight.messages.ids import Blake3Digest, NodeId
from gridlight.messages.jobs import JobSubmitted
from gridlight.messages.trust import Role

PANEL: Final = 5
PANEL_AGREEING_MIN: Final = 4


class Answer(Struct, frozen=True, gc=False):
    """What one node said of the case's task."""

    role: Role
    node: int
    """NOBODY for the known answer of a canary."""
    node_id: NodeId | None
    output: bytes
    output_digest: Blake3Digest
    probes: tuple[int, ...]
    probe_seed: int | None = None
    """What it was asked with; nothing where all runs of a task have one seed."""


class Case(Struct):
    """One answer under examination."""

    number: int
    commit: int
    job: JobSubmitted
    probe_seed: int
    draw: int
    """64 bits of the epoch's secret."""
    answers: list[Answer]
    due_ms: int
    """When the next of `wanted` are asked."""
    until_ms: int
    """The gateway keeps the input so long."""
    wanted: list[Role]
    outstanding: dict[int, Role] = {}
    asked: int = 0
    """Checks asked so far, so that each is drawn anew."""
    reference_tries: int = 0
    tested: int = NOBODY
    """Whom a canary is for."""
    executors: tuple[int, ...] = ()
    """Who was sent the task before it was a case."""
    rewarded: list[int] = []
    """Who passed this check already."""
    insists: bool = False
    """A reference node was paid for: an audit takes its place only after several tries."""
    is_canary: bool = False
    is_disputed: bool = False
    is_suspect: bool = False
    """Its node was found false elsewhere: only a reference or a panel can clear it."""
    is_settled: bool = False
    """What its requester is told is for good; what is asked beyond that is about newcomers."""
    lacks_reference: bool = False
    is_panel: bool = False
    repeated: int | None = None
    """The seed of the run that a reference node repeats; the first run's where it is nothing."""
    asked_seed: int | None = None
    """Of the check that is outstanding, as its answer will have it."""
    is_rechecked: bool = False
    """Whether one of its runs is repeated was drawn."""
    is_rechecking: bool = False
    """Nobody contradicts, and a reference node repeats a run all the same."""

    @property
    def served(self) -> Answer:
        """The answer that is examined."""
        return self.answers[0]


class Step(IntEnum):
    """What to do next."""

    AGREED = 0
    ASK_REFERENCE = 1
    ASK_PANEL = 2
    SETTLED = 3
    UNDECIDED = 4


class Finding(Struct, frozen=True):
    """What all answers together say."""

    step: Step
    truth: Answer | None = None
    wrong: tuple[Answer, ...] = ()
    settled_by: NodeId | None = None
    about: Answer | None = None
    """Whose run a reference node shall repeat; the first one's where it is nobody's."""


Matches = Callable[[Answer, Answer], bool]


def find(case: Case, matches: Matches, is_alike: Matches | None = None) -> Finding:
    """Judge a case for which no check is outstanding, and of which at least one was answered.

    `is_alike` asks the same of outputs alone: probes of another seed never prove anybody wrong.
    """
    is_alike = matches if is_alike is None else is_alike
    served, others = case.answers[0], case.answers[1:]
    references = [answer for answer in others if answer.role is Role.REFERENCE]
    if references:
        return _by_reference(case, references, matches, is_alike)
    if not case.is_suspect and all(matches(served, other) for other in others):
        return Finding(Step.AGREED)
    if not case.lacks_reference:
        return Finding(Step.ASK_REFERENCE)
    if case.is_panel or case.is_settled:
        return _by_panel(case, matches, is_alike)
    return Finding(Step.ASK_PANEL)


def _by_reference(case: Case, references: list[Answer], matches: Matches, is_alike: Matches) -> Finding:
    """The project's own machine has the last word, but not alone against all others while there is a second one.

    Who seems wrong is judged by a repetition of the own run, where a reference node is left to do that.
    """
    first = references[0]
    repetitions = {answer.probe_seed: answer for answer in reversed(references)}
    if not all(matches(repetitions[other.probe_seed], other) and is_alike(first, other) for other in references):
        return Finding(Step.UNDECIDED)
    nodes = [answer for answer in case.answers if answer.role is not Role.REFERENCE]
    wrong = tuple(one for one in nodes if not matches(one, repetitions.get(one.probe_seed, first)))
    if not wrong:
        return Finding(Step.AGREED)
    unproven = next((answer for answer in wrong if answer.probe_seed not in repetitions), None)
    is_alone = len(wrong) == len(nodes) > 1 and len(references) == 1
    if (unproven is not None or is_alone) and not case.lacks_reference:
        return Finding(Step.ASK_REFERENCE, about=unproven)
    wrong = tuple(one for one in wrong if one.probe_seed in repetitions or not is_alike(one, first))
    if not wrong:
        return Finding(Step.UNDECIDED)
    truth = first if case.served in wrong else case.served
    return Finding(Step.SETTLED, truth, wrong, first.node_id)


def _by_panel(case: Case, matches: Matches, is_alike: Matches) -> Finding:
    """Four of five operators, none of them a newcomer."""
    panel = [answer for answer in case.answers if answer.role is not Role.SHADOW]
    for answer in panel:
        agreeing = [other for other in panel if matches(answer, other)]
        if len(agreeing) >= PANEL_AGREEING_MIN:
            seeds = {other.probe_seed for other in agreeing}
            wrong = tuple(other for other in panel if other not in agreeing)
            wrong = tuple(other for other in wrong if other.probe_seed in seeds or not is_alike(other, answer))
            truth = answer if case.served in wrong else case.served
            return Finding(Step.SETTLED, truth, wrong) if wrong else Finding(Step.AGREED)
    return Finding(Step.UNDECIDED)
