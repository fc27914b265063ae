"""A verifier alone, with a clock that the test moves: answers are committed to it, and its checks are answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from tests.unit.core.world import OUTPUT, START_MS, WORKLOAD, digest_of, job_id, node_id, only, secret, submitted

from gridlight.core.notices import AnswerCommitted, CheckEnded, CheckWanted, FaultFound, Output, TaskAnswered, TrustLost
from gridlight.core.verification import MILLION, Verifier, VerifierSnapshot
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.ids import AssignmentId, WorkloadId
from gridlight.messages.trust import (
    LAPTOP,
    Assurance,
    Comparison,
    EpochBegan,
    RecordVerification,
    SettleCommits,
    TrustParameters,
    Verification,
)

TRUST = msgspec.structs.replace(LAPTOP, canary_ppm=0, reference_ppm=0, shadow_ppm=0)
"""No check but those that a test asks for."""

OTHER_OUTPUT = b"\1" * 12
PRIMARY = 1
"""The node whose answers are examined."""

AUDITOR, OTHER_AUDITOR, REFERENCE, NEWCOMER = 2, 3, 8, 9
"""Nodes that are asked, of different operators; which of them is asked is scheduling's."""


class Hearing:
    """Every step checks the machine's invariants."""

    def __init__(self, trust: TrustParameters = TRUST, comparisons: dict[WorkloadId, Comparison] | None = None) -> None:
        self.verifier = Verifier()
        self.now_ms = START_MS
        self.asked: list[CheckWanted] = []
        """Checks that nobody answered yet, oldest first."""
        self.said: list[Output] = []
        """Everything, in order."""
        self.jobs_made = 0
        self._is_in_bulk = False
        self.tell(CoordinatorStarted(seed=7, workloads=(WORKLOAD,), trust=trust, comparisons=comparisons or {}))
        self.tell(EpochBegan(epoch=1, secret=secret(1), next_secret=secret(2)))

    def tell(self, event: Any) -> list[Output]:
        """One event, now."""
        outputs = self.verifier.handle(self.now_ms, event)
        if not self._is_in_bulk:
            self.verifier.check()
        self.asked += only(CheckWanted, outputs)
        self.said += outputs
        return outputs

    @contextmanager
    def in_bulk(self) -> Iterator[None]:
        """Very many events of one kind: the invariants are checked once, at the end."""
        self._is_in_bulk = True
        yield
        self._is_in_bulk = False
        self.verifier.check()

    def commit(
        self,
        node: int = PRIMARY,
        *,
        audit_ppm: int = 0,
        assurance: Assurance = Assurance.SAMPLED,
        output: bytes = OUTPUT,
        probes: tuple[int, ...] = (),
        is_public: bool = False,
    ) -> list[Output]:
        """A trusted node's answer, by default one that is not drawn."""
        self.jobs_made += 1
        answered = TaskAnswered(
            job=submitted(job_id(self.jobs_made), assurance=assurance, is_public=is_public),
            probe_seed=self.jobs_made,
            node=node,
            node_id=node_id(node),
            assignment_id=AssignmentId(f"{self.jobs_made:016x}"),
            output=output,
            output_digest=digest_of(output),
            probes=probes,
        )
        return self.tell(AnswerCommitted(answered, audit_ppm))

    def audited(
        self,
        node: int = PRIMARY,
        *,
        assurance: Assurance = Assurance.SAMPLED,
        output: bytes = OUTPUT,
        probes: tuple[int, ...] = (),
        is_public: bool = False,
    ) -> CheckWanted:
        """An answer that is drawn, and the check that is asked for."""
        self.commit(node, audit_ppm=MILLION, assurance=assurance, output=output, probes=probes, is_public=is_public)
        return self.next_check()

    def pass_ms(self, ms: int) -> list[Output]:
        """Time goes by, and the host calls at each deadline on the way."""
        until_ms = self.now_ms + ms
        outputs: list[Output] = []
        while (due_ms := self.verifier.next_deadline_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            outputs += self.tell(TimePassed())
        self.now_ms = until_ms
        return outputs

    def next_check(self) -> CheckWanted:
        """The next check that is asked for; time goes by until there is one."""
        while not self.asked:
            due_ms = self.verifier.next_deadline_ms()
            assert due_ms is not None, "nothing is asked any more"
            self.pass_ms(due_ms - self.now_ms)
        return self.asked.pop(0)

    def answer(
        self, wanted: CheckWanted, node: int, *, output: bytes = OUTPUT, probes: tuple[int, ...] = ()
    ) -> list[Output]:
        """A node ran the check."""
        ended = CheckEnded(
            check=wanted.check,
            node=node,
            node_id=node_id(node),
            output=output,
            output_digest=digest_of(output),
            probes=probes,
        )
        return self.tell(ended)

    def lose(self, wanted: CheckWanted, *, is_input_gone: bool = False, is_nobody_there: bool = True) -> list[Output]:
        """Nobody ran it; by default since nobody is there who could."""
        return self.tell(CheckEnded(wanted.check, is_input_gone=is_input_gone, is_nobody_there=is_nobody_there))

    def lose_until_asked_for(self, role: object) -> CheckWanted:
        """Nobody runs anything until this is asked for."""
        while (wanted := self.next_check()).role is not role:
            self.lose(wanted)
        return wanted

    def lose_all(self) -> None:
        """Nobody runs anything any more, until nothing is asked any more."""
        while self.verifier.docket.cases:
            due_ms = self.verifier.next_deadline_ms()
            if not self.asked and due_ms is not None:
                self.pass_ms(due_ms - self.now_ms)
            while self.asked:
                self.lose(self.asked.pop(0))

    def doubt(self, node: int = PRIMARY) -> list[Output]:
        """The node, or another of its operator, was banned."""
        return self.tell(TrustLost(node))

    def go_on_from_a_snapshot(self) -> None:
        """A verifier that was restored takes over, and its snapshot is the same."""
        snapshot = msgspec.msgpack.encode(self.verifier.snapshot())
        self.verifier = Verifier()
        self.verifier.restore(msgspec.msgpack.decode(snapshot, type=VerifierSnapshot))
        self.verifier.check()
        assert msgspec.msgpack.encode(self.verifier.snapshot()) == snapshot


def disputed(hearing: Hearing, *, served: bytes = OUTPUT, audited: bytes = OTHER_OUTPUT) -> None:
    """An answer of PRIMARY that AUDITOR contradicts; a reference node is asked next."""
    wanted = hearing.audited(output=served)
    outputs = hearing.answer(wanted, AUDITOR, output=audited)
    assert verdicts(outputs) == [(hearing.verifier.commit, Verification.DISPUTED)]


def faults(outputs: list[Output]) -> list[int]:
    """Whom an output holds to account."""
    return [one.node for one in only(FaultFound, outputs)]


def verdicts(outputs: list[Output]) -> list[tuple[int, Verification]]:
    """What became known of single answers."""
    return [(one.commit, one.verification) for one in only(RecordVerification, outputs)]


def settled(outputs: list[Output]) -> list[tuple[int, Verification]]:
    """Up to which of a node's answers what became known."""
    return [(one.commit, one.verification) for one in only(SettleCommits, outputs)]
