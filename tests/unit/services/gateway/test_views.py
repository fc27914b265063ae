"""What a requester reads of an answer, in each state of its verification."""

import pytest
from msgspec.structs import replace
from tests.unit.services.gateway.conftest import OUTPUT, Gateway, Node

from gridlight.adapters.signatures import blake3_digest
from gridlight.adapters.store import CommitRecord, JobRecord
from gridlight.messages.api import RequestView
from gridlight.messages.ids import AssignmentId
from gridlight.messages.jobs import JobCode, JobState, JobTiming, Outcome
from gridlight.messages.results import Detection, encode_detections
from gridlight.messages.trust import LAPTOP, Assurance, TrustParameters, Verification
from gridlight.services.gateway.views import VOID_NOTE, open_request, request_view

COMMITTED_MS = 1_000_000
CORRECTED = encode_detections([Detection(class_id=1, score=8_000, box=(0, 0, 480, 480))])
SETTLE_MS = LAPTOP.settle_ms_max + LAPTOP.settle_grace_ms


def view(
    gateway: Gateway,
    node: Node,
    verification: Verification | None,
    *,
    output: bytes | None = None,
    served: Verification | None = Verification.PROVISIONAL,
    after_ms: int = 0,
    trust: TrustParameters | None = LAPTOP,
) -> RequestView:
    """Of a job that was answered with OUTPUT, and committed unless there is no verification."""
    submitted = replace(gateway.submitted(), assurance=Assurance.AUDITED)
    timing = JobTiming(queue=1, ack=2, infer=3, total=4)
    outcome = Outcome(
        state=JobState.DONE, node_id=node.node_id, output=OUTPUT, timing=timing, attempts=1, verification=served
    )
    commit = None
    if verification is not None:
        commit = CommitRecord(
            commit=7,
            job_id=submitted.job_id,
            node_id=node.node_id,
            assignment_id=AssignmentId("0" * 16),
            output_digest=blake3_digest(OUTPUT),
            epoch=3,
            audit_ppm=1_000_000,
            is_audited=True,
            is_bound=True,
            verification=verification,
            output=output,
            committed_ms=COMMITTED_MS,
            changed_ms=COMMITTED_MS,
        )
    record = JobRecord(submitted, COMMITTED_MS, outcome, commit)
    catalogue = {gateway.workload: gateway.manifest}
    return request_view(record, catalogue, trust, now_ms=COMMITTED_MS + after_ms)


async def test_an_answer_that_is_in_the_balance_says_until_when(gateway: Gateway, node: Node) -> None:
    for verification in (Verification.PROVISIONAL, Verification.DISPUTED):
        seen = view(gateway, node, verification, after_ms=1_000)

        assert seen.verification is verification
        assert seen.settles_by_ms == SETTLE_MS - 1_000
        assert seen.result is not None
        assert seen.result.verification is verification
        assert (seen.result.verify, seen.result.trust) == (Assurance.AUDITED, "laptop")
        assert (seen.served, seen.note) == (None, None)


async def test_an_answer_that_is_overdue_settles_any_moment(gateway: Gateway, node: Node) -> None:
    assert view(gateway, node, Verification.PROVISIONAL, after_ms=SETTLE_MS + 1).settles_by_ms == 0


async def test_where_no_terms_are_known_none_are_promised(gateway: Gateway, node: Node) -> None:
    seen = view(gateway, node, Verification.PROVISIONAL, trust=None)

    assert seen.settles_by_ms is None
    assert seen.result is not None
    assert seen.result.trust is None


async def test_a_final_answer_is_the_one_that_was_served(gateway: Gateway, node: Node) -> None:
    seen = view(gateway, node, Verification.FINAL)

    assert seen.verification is Verification.FINAL
    assert seen.settles_by_ms is None
    assert seen.result is not None
    assert seen.result.verification is Verification.FINAL
    assert [one.label for one in seen.result.detections] == ["bus"]
    assert (seen.served, seen.note) == (None, None)


async def test_a_corrected_answer_shows_what_stands_and_what_was_served(gateway: Gateway, node: Node) -> None:
    seen = view(gateway, node, Verification.CORRECTED, output=CORRECTED)

    assert seen.verification is Verification.CORRECTED
    assert seen.result is not None
    assert seen.served is not None
    assert [one.label for one in seen.result.detections] == ["person"]
    assert (seen.result.verification, seen.result.node_id) == (Verification.CORRECTED, None)
    assert [one.label for one in seen.served.detections] == ["bus"]
    assert (seen.served.verification, seen.served.node_id) == (Verification.PROVISIONAL, node.node_id)


async def test_a_void_answer_can_be_read_with_a_note_what_that_means(gateway: Gateway, node: Node) -> None:
    seen = view(gateway, node, Verification.VOID)

    assert (seen.verification, seen.note) == (Verification.VOID, VOID_NOTE)
    assert seen.result is not None
    assert seen.result.verification is Verification.VOID
    assert [one.label for one in seen.result.detections] == ["bus"]


@pytest.mark.parametrize("served", [None, Verification.UNVERIFIED])
async def test_an_answer_that_was_never_committed_is_unverified(
    gateway: Gateway, node: Node, served: Verification | None
) -> None:
    seen = view(gateway, node, None, served=served)

    assert seen.verification is Verification.UNVERIFIED
    assert seen.settles_by_ms is None
    assert seen.result is not None
    assert seen.result.verification is Verification.UNVERIFIED


async def test_a_result_of_a_workload_that_is_no_more_still_has_its_verification(gateway: Gateway, node: Node) -> None:
    submitted = gateway.submitted()
    timing = JobTiming(queue=1, ack=2, infer=3, total=4)
    outcome = Outcome(state=JobState.DONE, node_id=node.node_id, output=OUTPUT, timing=timing)

    seen = request_view(JobRecord(submitted, 0, outcome), {}, LAPTOP, now_ms=0)

    assert (seen.state, seen.verification, seen.result) == ("done", Verification.UNVERIFIED, None)


async def test_a_request_without_a_result_has_nothing_to_verify(gateway: Gateway) -> None:
    submitted = gateway.submitted()
    outcome = Outcome(state=JobState.REFUSED, code=JobCode.NO_TRUSTED_NODE)

    refused = request_view(JobRecord(submitted, 0, outcome), {}, LAPTOP, now_ms=0)
    waiting = request_view(JobRecord(submitted, 0, None), {}, LAPTOP, now_ms=0)

    assert refused.verification is None
    assert refused.error is not None
    assert refused.error.code == "NO_TRUSTED_NODE"
    assert waiting == open_request(submitted.job_id)
