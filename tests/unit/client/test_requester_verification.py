"""The SDK on verification, against a real HTTP server: what is chosen, what is waited for, what is read."""

from typing import Any

import pytest

from gridlight.client.errors import RequestRefused, VerificationOverdue
from gridlight.client.requester import AsyncGridlight, Gridlight
from gridlight.messages.api import (
    AuditsResponse,
    CheckView,
    CommitsResponse,
    CommitView,
    EpochsResponse,
    EpochView,
    LevelView,
    NodeResponse,
    Privacy,
    RequestView,
    TrustResponse,
)
from gridlight.messages.codec import encode
from gridlight.messages.ids import JobId, NodeId
from gridlight.messages.trust import Assurance, CheckOutcome, Role, Verification

JOB = JobId("req_" + "0" * 26)
NODE = NodeId("U" + "A" * 55)
PATH = f"/v1/requests/{JOB}"


def seen(verification: Verification) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, encode(RequestView(id=JOB, state="done", verification=verification))


async def test_level_and_privacy_are_sent_as_they_are_spelt(stand_in: Any, photo_jpeg: bytes) -> None:
    with Gridlight(stand_in.url) as requester:
        requester.detect(photo_jpeg, verify=Assurance.AUDITED, privacy=Privacy.PUBLIC)
    async with AsyncGridlight(stand_in.url) as patient:
        await patient.detect(photo_jpeg, verify=Assurance.NONE)

    assert [request.parameters for request in stand_in.received] == [
        {"verify": "audited", "privacy": "public"},
        {"verify": "none"},
    ]


async def test_an_answer_is_waited_for_until_it_is_settled(stand_in: Any, refusal: Any) -> None:
    open_view: tuple[int, dict[str, str], bytes] = (200, {}, encode(RequestView(id=JOB, state="open")))
    looks = [open_view, seen(Verification.PROVISIONAL), None, refusal(503, "BUSY"), seen(Verification.FINAL)]
    heard: list[Verification | None] = []

    stand_in.answers[PATH] = list(looks)
    with Gridlight(stand_in.url) as requester:
        settled = requester.wait_verified(JOB, 30, listen=lambda view: heard.append(view.verification))
    stand_in.answers[PATH] = list(looks)
    async with AsyncGridlight(stand_in.url) as patient:
        again = await patient.wait_verified(JOB, 30)

    assert settled.verification is again.verification is Verification.FINAL
    assert heard == [None, Verification.PROVISIONAL, Verification.FINAL]


async def test_a_wait_that_is_too_short_ends_in_an_error_of_its_own(stand_in: Any) -> None:
    stand_in.answers[PATH] = seen(Verification.PROVISIONAL)

    with Gridlight(stand_in.url) as requester, pytest.raises(VerificationOverdue, match="still provisional"):
        requester.wait_verified(JOB, 0.05)
    async with AsyncGridlight(stand_in.url) as patient:
        with pytest.raises(VerificationOverdue) as caught:
            await patient.wait_verified(JOB, 0.05)
    assert caught.value.view is not None


def test_waiting_for_a_request_that_nobody_sent_ends_at_once(stand_in: Any, refusal: Any) -> None:
    stand_in.answers[PATH] = refusal(404, "UNKNOWN_REQUEST")

    with Gridlight(stand_in.url) as requester, pytest.raises(RequestRefused, match="UNKNOWN_REQUEST"):
        requester.wait_verified(JOB, 60)
    assert len(stand_in.received) == 1


async def test_what_the_network_says_of_itself_is_typed(stand_in: Any) -> None:
    view = stand_in.nodes_response().nodes[0]
    check = CheckView(check=1, commit=2, role=Role.AUDIT, outcome=CheckOutcome.MATCH, at_ms=5, node_id=NODE)
    answers: dict[str, Any] = {
        "/v1/trust": TrustResponse(
            profile="laptop",
            malicious_share=0.1,
            levels=[LevelView(verify=Assurance.NONE, price=1.0, expected_error=0.1, meaning="A word.")],
            parameters={"trusted_after": 8, "are_prefixes_distinct": False, "profile": "laptop"},
        ),
        f"/v1/nodes/{NODE}": NodeResponse(node=view, faults=[], checks=[check]),
        "/v1/network/audits": AuditsResponse([check]),
        "/v1/epochs": EpochsResponse([EpochView(epoch=4, commitment="0" * 64)]),
        "/v1/epochs/4/commits": CommitsResponse(4, [CommitView(1, NODE, 500, is_audited=False)], next_after=1),
    }
    stand_in.answers.update({path: (200, {}, encode(body)) for path, body in answers.items()})

    with Gridlight(stand_in.url, token=stand_in.token) as requester:
        read = [
            requester.trust(),
            requester.node(NODE),
            requester.audits(7, node=NODE),
            requester.epochs(),
            requester.commits(4, after=3, limit=9),
        ]
    async with AsyncGridlight(stand_in.url, token=stand_in.token) as patient:
        again = [
            await patient.trust(),
            await patient.node(NODE),
            await patient.audits(7, node=NODE),
            await patient.epochs(),
            await patient.commits(4, after=3, limit=9),
        ]

    assert read == again == list(answers.values())
    sent = [request.parameters for request in stand_in.received]
    expected = [{}, {}, {"limit": "7", "node": NODE}, {"limit": "100"}, {"after": "3", "limit": "9"}]
    assert sent == expected * 2
    assert all(one.headers["authorization"] == f"Bearer {stand_in.token}" for one in stand_in.received)
