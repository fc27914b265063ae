"""What the gateway says of verification, over real HTTP, a real bus and real read models."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.conftest import WAIT_S, Connections, Server
from tests.integration.gateway_stand import ADMIN_TOKEN, OUTPUT, Node, Stand, add_node, standing
from tests.integration.test_gateway import jpeg

from gridlight.adapters.signatures import SigningKey, blake3_digest
from gridlight.core.draw import draw_keyed, is_within
from gridlight.core.epochs import commitment
from gridlight.messages.host import AnnounceCoordinator
from gridlight.messages.ids import AssignmentId, JobId, NodeId
from gridlight.messages.jobs import JobSubmitted
from gridlight.messages.results import Detection, encode_detections
from gridlight.messages.trust import (
    PRODUCTION,
    Assurance,
    CheckOutcome,
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

ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
DIGEST = blake3_digest(b"what was said")
SECRET = "5a" * 32


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as one:
        yield one


@pytest.fixture
async def node(stand: Stand, connections: Connections) -> Node:
    return await add_node(stand, connections)


@pytest.fixture
async def checker(stand: Stand, connections: Connections, node: Node) -> Node:
    """Another node, to which no job goes by itself."""
    other = await add_node(stand, connections)
    stand.coordinator.node_id = node.node_id
    return other


def commit_of(job_id: JobId, node: Node, commit: int = 1, *, epoch: int = 0, **fields: Any) -> RecordCommit:
    return RecordCommit(
        commit=commit,
        job_id=job_id,
        node_id=node.node_id,
        assignment_id=AssignmentId(f"{commit:016x}"),
        output_digest=blake3_digest(OUTPUT),
        epoch=epoch,
        **{"audit_ppm": 1_000_000, "is_audited": True, "is_bound": False, **fields},
    )


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# What a requester chooses


async def test_verification_is_chosen_in_query_form_and_json_alike(stand: Stand, node: Node) -> None:
    picture = jpeg()
    as_json = {"image": {"b64": base64.b64encode(picture).decode()}, "verify": "arbitrated", "privacy": "public"}

    answers = [
        await stand.detect(picture),
        await stand.detect(picture, verify="none"),
        await stand.http.post("/v1/detect", files={"image": picture}, data={"verify": "audited", "privacy": "private"}),
        await stand.http.post("/v1/detect", json=as_json),
    ]

    said = [(one.json()["verify"], one.json()["verification"], one.json()["trust"]) for one in answers]
    levels = ["sampled", "none", "audited", "arbitrated"]
    assert said == [(level, "unverified", "laptop") for level in levels]
    jobs = await stand.coordinator.heard(JobSubmitted, 4)
    assert [(job.assurance, job.is_public) for job in jobs] == [
        (Assurance.SAMPLED, False),
        (Assurance.NONE, False),
        (Assurance.AUDITED, False),
        (Assurance.ARBITRATED, True),
    ]


async def test_an_unknown_choice_is_refused_in_each_form(stand: Stand, node: Node) -> None:
    picture = jpeg()
    as_json = {"image": {"b64": base64.b64encode(picture).decode()}, "verify": "twice"}

    answers = [
        await stand.detect(picture, verify="twice"),
        await stand.http.post("/v1/detect", files={"image": picture}, data={"verify": "twice"}),
        await stand.http.post("/v1/detect", json=as_json),
    ]

    for answer in answers:
        assert code(answer) == (400, "BAD_VERIFY")
        assert "none, sampled, audited, arbitrated" in answer.json()["error"]["hint"]
    assert code(await stand.detect(picture, privacy="secret")) == (400, "BAD_PRIVACY")


# What becomes of an answer


async def test_a_request_is_followed_from_provisional_to_corrected(stand: Stand, node: Node) -> None:
    corrected = encode_detections([Detection(class_id=1, score=8_000, box=(0, 0, 480, 480))])
    job_id = (await stand.detect(jpeg())).json()["id"]

    stand.coordinator.record(commit_of(job_id, node))
    provisional = await stand.stored(job_id)
    stand.coordinator.record(RecordVerification(commit=1, verification=Verification.DISPUTED))
    disputed = await stand.stored(job_id)
    stand.coordinator.record(RecordVerification(commit=1, verification=Verification.CORRECTED, output=corrected))
    settled = await stand.stored(job_id)

    assert provisional["verification"] == provisional["result"]["verification"] == "provisional"
    assert 300_000 < provisional["settles_by_ms"] <= 330_000
    assert disputed["verification"] == "disputed"
    assert settled["verification"] == settled["result"]["verification"] == "corrected"
    assert [one["label"] for one in settled["result"]["detections"]] == ["person"]
    assert [one["label"] for one in settled["served"]["detections"]] == ["bus", "person"]
    assert "settles_by_ms" not in settled
    assert "served" not in provisional


@pytest.mark.parametrize("verification", [Verification.FINAL, Verification.VOID])
async def test_a_settled_answer_can_still_be_read(stand: Stand, node: Node, verification: Verification) -> None:
    answer = (await stand.detect(jpeg())).json()
    stand.coordinator.record(commit_of(answer["id"], node))

    stand.coordinator.record(SettleCommits(node_id=node.node_id, commit=1, verification=verification))

    view = await stand.stored(answer["id"])
    assert view["verification"] == view["result"]["verification"] == verification
    assert view["result"]["detections"] == answer["detections"]
    assert ("note" in view) == (verification is Verification.VOID)


# What anybody may ask


async def test_the_terms_of_trust_are_those_of_the_coordinators_last_start(stand: Stand) -> None:
    laptop = (await stand.http.get("/v1/trust")).json()
    stand.coordinator.start(PRODUCTION)
    await stand.coordinator.say(AnnounceCoordinator())

    async with asyncio.timeout(WAIT_S):
        while (production := (await stand.http.get("/v1/trust")).json())["profile"] != "production":  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert laptop["profile"] == "laptop"
    assert laptop["parameters"]["trusted_after"] == 8
    assert production["parameters"]["trusted_after"] == 800
    assert [(level["verify"], level["price"], level["expected_error"]) for level in production["levels"]] == [
        ("none", 1.0, 0.1),
        ("sampled", 1.12, 9.2e-05),
        ("audited", 2.05, 9.2e-06),
        ("arbitrated", 3.3, 9.2e-07),
    ]
    assert (await stand.http.get("/v1/models")).json()["trust"] == "/v1/trust"


async def test_a_node_is_shown_with_its_reputation_and_to_administrators_with_the_evidence(
    stand: Stand, node: Node, checker: Node
) -> None:
    job_id = (await stand.detect(jpeg())).json()["id"]
    stand.coordinator.record(
        commit_of(job_id, node),
        RecordStanding(node_id=node.node_id, tier=Tier.BANNED, clean_run=3, checks_passed=2, faults=1),
        RecordCheck(check=4, commit=1, role=Role.AUDIT, node_id=checker.node_id, outcome=CheckOutcome.MISMATCH),
        RecordFault(
            node_id=node.node_id,
            grade=FaultGrade.FALSE,
            commit=1,
            role=Role.PRIMARY,
            said=DIGEST,
            reference=blake3_digest(OUTPUT),
            settled_by=checker.node_id,
        ),
    )
    path = f"/v1/nodes/{node.node_id}"

    public = (await stand.http.get(path)).json()
    shown = (await stand.http.get(path, headers=ADMIN)).json()

    assert set(public) == {"node"}
    assert {name: public["node"][name] for name in ("tier", "clean_run", "checks_passed", "faults", "online")} == {
        "tier": "banned",
        "clean_run": 3,
        "checks_passed": 2,
        "faults": 1,
        "online": False,
    }
    (fault,) = shown["faults"]
    assert (fault["grade"], fault["said"], fault["reference"]) == ("false", DIGEST, blake3_digest(OUTPUT))
    assert (fault["settled_by"], fault["role"]) == (checker.node_id, "primary")
    assert fault["at_ms"] > 1_600_000_000_000
    (check,) = shown["checks"]
    assert (check["check"], check["outcome"], check["primary_id"]) == (4, "mismatch", node.node_id)
    assert code(await stand.http.get(path, headers={"Authorization": "Bearer wrong"})) == (403, "FORBIDDEN")


async def test_a_node_that_nobody_knows_is_refused(stand: Stand) -> None:
    unknown = SigningKey.generate().public

    assert code(await stand.http.get(f"/v1/nodes/{unknown}")) == (404, "UNKNOWN_NODE")
    assert code(await stand.http.get("/v1/nodes/me")) == (400, "BAD_NODE_ID")


async def test_a_node_of_which_nothing_is_known_has_no_reputation(stand: Stand, node: Node) -> None:
    shown = (await stand.http.get(f"/v1/nodes/{node.node_id}", headers=ADMIN)).json()

    assert "tier" not in shown["node"]
    assert shown["faults"] == shown["checks"] == []


async def test_administrators_read_the_newest_checks(stand: Stand, node: Node, checker: Node) -> None:
    job_id = (await stand.detect(jpeg())).json()["id"]
    match = CheckOutcome.MATCH
    stand.coordinator.record(
        commit_of(job_id, node, 1),
        commit_of(job_id, checker, 2),
        RecordCheck(check=1, commit=1, role=Role.AUDIT, node_id=checker.node_id, outcome=match, output_digest=DIGEST),
        RecordCheck(check=2, commit=2, role=Role.CANARY, node_id=None, outcome=CheckOutcome.LOST),
    )

    every = (await stand.http.get("/v1/network/audits", headers=ADMIN)).json()["audits"]
    newest = (await stand.http.get("/v1/network/audits?limit=1", headers=ADMIN)).json()["audits"]
    of_node = (await stand.http.get(f"/v1/network/audits?node={node.node_id}", headers=ADMIN)).json()["audits"]

    assert [one["check"] for one in every] == [2, 1]
    assert [one["check"] for one in newest] == [2]
    assert [one["check"] for one in of_node] == [1]
    assert {name: every[1][name] for name in ("role", "outcome", "node_id", "primary_id", "verification")} == {
        "role": "audit",
        "outcome": "match",
        "node_id": checker.node_id,
        "primary_id": node.node_id,
        "verification": "provisional",
    }
    assert "node_id" not in every[0]


async def test_checks_are_for_administrators_alone(stand: Stand) -> None:
    path = "/v1/network/audits"

    assert code(await stand.http.get(path)) == (401, "UNAUTHORIZED")
    assert code(await stand.http.get(path, headers={"Authorization": "Bearer wrong"})) == (403, "FORBIDDEN")
    assert code(await stand.http.get(path, params={"node": "me"}, headers=ADMIN)) == (400, "BAD_NODE_ID")
    assert code(await stand.http.get(path, params={"limit": 0}, headers=ADMIN)) == (400, "BAD_REQUEST")


async def test_anybody_can_draw_the_audits_of_a_revealed_epoch_again(stand: Stand, node: Node) -> None:
    job_id = (await stand.detect(jpeg())).json()["id"]
    key = bytes.fromhex(SECRET)
    rate = 300_000
    drawn = {number: is_within(draw_keyed(key, "audit", number), rate) for number in range(1, 41)}
    stand.coordinator.record(
        RecordEpoch(epoch=1, commitment=commitment(SECRET)),
        *(
            commit_of(job_id, node, number, epoch=1, audit_ppm=rate, is_audited=is_audited)
            for number, is_audited in drawn.items()
        ),
    )
    path = "/v1/epochs/1/commits"

    hidden = await stand.http.get(path)
    stand.coordinator.record(RecordEpoch(epoch=1, commitment=commitment(SECRET), secret=SECRET))
    first = (await stand.http.get(path, params={"limit": 30})).json()
    rest = (await stand.http.get(path, params={"limit": 30, "after": first["next_after"]})).json()

    assert code(hidden) == (409, "EPOCH_NOT_REVEALED")
    (epoch,) = (await stand.http.get("/v1/epochs")).json()["epochs"]
    assert epoch == {"epoch": 1, "commitment": commitment(SECRET), "secret": SECRET}
    assert {one["commit"]: one["is_audited"] for one in first["commits"] + rest["commits"]} == drawn
    assert 1 < sum(drawn.values()) < 39
    assert "next_after" not in rest
    assert set(first["commits"][0]) == {"commit", "node_id", "audit_ppm", "is_audited"}, "a job's id is a secret"


async def test_an_unrevealed_epochs_secret_is_not_shown(stand: Stand) -> None:
    stand.coordinator.record(RecordEpoch(epoch=2, commitment=commitment(SECRET)))

    assert (await stand.http.get("/v1/epochs")).json()["epochs"] == [{"epoch": 2, "commitment": commitment(SECRET)}]
    assert code(await stand.http.get("/v1/epochs/7/commits")) == (404, "UNKNOWN_EPOCH")
    assert code(await stand.http.get("/v1/epochs/2/commits?after=-1")) == (400, "BAD_REQUEST")
    assert code(await stand.http.get(f"/v1/epochs/{2**70}/commits")) == (404, "UNKNOWN_EPOCH")


async def test_before_any_coordinator_started_no_terms_are_promised(
    server: Server, connections: Connections, tmp_path: Path
) -> None:
    async with standing(server, connections, tmp_path, has_started=False) as stand:
        answer = await stand.http.get("/v1/trust")
        assert code(answer) == (503, "NO_COORDINATOR")
        assert answer.headers["Retry-After"] == "3"
        node = await add_node(stand, connections)
        served = (await stand.detect(jpeg())).json()

    assert (served["node_id"], served["trust"]) == (NodeId(node.node_id), None)
