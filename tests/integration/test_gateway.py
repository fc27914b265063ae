"""The gateway's whole path over real HTTP and a real bus: pictures, replies, enrolment, and what goes wrong between."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from PIL import Image
from tests.integration.conftest import WAIT_S, Connections, Server
from tests.integration.gateway_stand import ADMIN_TOKEN, OUTPUT, Node, Said, Stand, add_node, standing

from gridlight.adapters.signatures import SigningKey
from gridlight.messages.api import DetectResponse
from gridlight.messages.host import AnnounceCoordinator
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import CancelAssignment, EndJob, JobState, JobSubmitted, JobTiming, Outcome
from gridlight.messages.nodes import CancelWork, NodeEnrolled
from gridlight.messages.tasks import (
    Assignment,
    AssignmentFailed,
    AssignmentUndeliverable,
    FailureCode,
    UndeliverableReason,
)
from gridlight.services.gateway.detect import DetectRequests
from gridlight.workloads.contract import catalogue


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as one:
        yield one


@pytest.fixture
async def node(stand: Stand, connections: Connections) -> Node:
    return await add_node(stand, connections)


def jpeg(width: int = 810, height: int = 1_080) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((width, height), 40).convert("RGB").save(file, "JPEG")
    return file.getvalue()


async def test_a_picture_becomes_labels_and_boxes_in_its_own_pixels(stand: Stand, node: Node) -> None:
    answer = await stand.detect(jpeg(600, 300))

    assert answer.status_code == 200, answer.text
    response = msgspec.json.decode(answer.content, type=DetectResponse)
    assert (response.image.width, response.image.height) == (600, 300)
    assert [(one.label, one.score, one.bbox) for one in response.detections] == [
        ("bus", 0.93, (60, 60, 540, 240)),
        ("person", 0.3, (0, 0, 60, 30)),
    ]
    assert response.verification == "unverified"
    assert response.node_id == node.node_id
    assert response.timing_ms.deadline == 4_000
    (submitted,) = await stand.coordinator.heard(JobSubmitted)
    assert submitted.job_id == response.id
    assert submitted.input_bytes == 270_000
    assert submitted.threshold == 2_500
    assert 3_000 < submitted.deadline_ms <= 3_800 - response.timing_ms.picture


async def test_json_and_forms_are_answered_as_raw_bodies_are(stand: Stand, node: Node) -> None:
    picture = jpeg()
    as_json = {"image": {"b64": base64.b64encode(picture).decode()}, "threshold": 0.5, "deadline_ms": 2_000}

    answers = [
        await stand.detect(picture, threshold=0.5, deadline_ms=2_000, model="coco-ssd"),
        await stand.http.post("/v1/detect", json=as_json),
        await stand.http.post("/v1/detect", files={"image": picture}, data={"threshold": "0.5", "deadline_ms": "2000"}),
        await stand.http.post(
            "/v1/detect",
            params={"threshold": 0.5, "model": next(iter(catalogue()))},
            content=picture,
            headers={"Content-Type": "image/jpeg", "X-Deadline-Ms": "2000"},
        ),
    ]

    responses = [msgspec.json.decode(answer.content, type=DetectResponse) for answer in answers]
    assert [[one.label for one in response.detections] for response in responses] == [["bus"]] * 4
    assert [response.timing_ms.deadline for response in responses] == [2_000] * 4


REFUSED: dict[str, dict[str, Any]] = {
    "no picture": {"content": b"text", "headers": {"Content-Type": "text/plain"}},
    "no such parameter": {"content": b"x", "params": {"treshold": 1}, "headers": {"Content-Type": "image/jpeg"}},
    "a key that nobody has": {"content": b"x", "headers": {"Content-Type": "image/jpeg", "X-Api-Key": "none"}},
    "no body": {"content": b"", "headers": {"Content-Type": "image/jpeg"}},
}


async def test_the_short_way_and_litestars_answer_alike(stand: Stand, node: Node) -> None:
    pictures: list[dict[str, Any]] = [{"content": jpeg(), "headers": {"Content-Type": "image/jpeg"}}]

    for asked in pictures + list(REFUSED.values()):
        short = await stand.http.post("/v1/detect", **asked)
        long = await stand.http.post("/v1/detect/", **asked)

        assert short.status_code == long.status_code
        assert without_ids(short) == without_ids(long)
    assert await stand.metric('gridlight_requests_total{code="200",route="/v1/detect"}') == 2


def without_ids(answer: httpx.Response) -> tuple[dict[str, str], Any]:
    """Headers and content of an answer, less what differs from one to the next."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    content = answer.json()
    for changing in ("id", "timing_ms"):
        content.pop(changing, None)
    content.get("error", {}).pop("request_id", None)
    headers.pop("content-length")
    return headers, content


async def test_a_mistake_of_ours_is_said_to_be_one(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def mistaken(*_: object, **__: object) -> bytes:
        raise RuntimeError("what only we may know")

    monkeypatch.setattr(DetectRequests, "answer", mistaken)

    for path in ("/v1/detect", "/v1/run/coco-ssd"):
        answer = await stand.http.post(path, content=b"x", headers={"Content-Type": "image/jpeg"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL")
        assert "only we" not in answer.text


async def test_an_answers_head_and_body_leave_together(stand: Stand) -> None:
    reader, writer = await asyncio.open_connection(*stand.url.removeprefix("http://").split(":"))
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")

    async with asyncio.timeout(WAIT_S):
        head, _, body = (await reader.read(1 << 20)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: %d" % len(body) in head.lower()
    assert body
    writer.close()


async def test_a_request_can_be_read_again_as_it_was_answered(stand: Stand, node: Node) -> None:
    answer = (await stand.detect(jpeg(), threshold=0.5)).json()

    view = await stand.stored(answer["id"])

    assert view["state"] == "done"
    assert view["result"]["detections"] == answer["detections"]
    assert view["result"]["image"] == answer["image"]


async def test_a_refused_request_can_be_read_again_too(stand: Stand) -> None:
    refused = await stand.detect(jpeg())

    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "2"
    error = refused.json()["error"]
    assert error["code"] == "NO_NODE_ONLINE"
    view = await stand.stored(error["request_id"])
    assert (view["state"], view["error"]["code"]) == ("refused", "NO_NODE_ONLINE")


async def test_a_silent_coordinator_is_answered_for_by_the_deadline(stand: Stand, node: Node) -> None:
    stand.coordinator.is_silent = True
    picture = jpeg()
    started = asyncio.get_running_loop().time()

    answer = await stand.detect(picture, deadline_ms=4_000)

    assert asyncio.get_running_loop().time() - started < 4.0
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "DEADLINE_EXCEEDED"
    assert (await stand.withdrawn()).job_id == answer.json()["error"]["request_id"]
    assert await stand.metric('gridlight_deadline_missed_total{stage="gateway"}') == 1


async def test_a_requester_who_hangs_up_is_withdrawn(stand: Stand, node: Node) -> None:
    stand.coordinator.is_silent = True
    asking = asyncio.ensure_future(stand.detect(jpeg(), deadline_ms=60_000))
    (submitted,) = await stand.coordinator.heard(JobSubmitted)

    asking.cancel()

    assert (await stand.withdrawn()).job_id == submitted.job_id


async def test_open_requests_are_announced_again_to_a_new_coordinator(stand: Stand, node: Node) -> None:
    stand.coordinator.is_silent = True
    asking = asyncio.ensure_future(stand.detect(jpeg(), deadline_ms=20_000))
    (first,) = await stand.coordinator.heard(JobSubmitted)
    assert (await stand.stored(first.job_id))["state"] == "open"

    stand.coordinator.is_silent = False
    await stand.coordinator.say(AnnounceCoordinator())

    assert (await asking).status_code == 200
    _, again = await stand.coordinator.heard(JobSubmitted, 2)
    assert again.job_id == first.job_id
    assert again.deadline_ms <= first.deadline_ms


async def test_open_requests_outlive_a_killed_bus(stand: Stand) -> None:
    stand.coordinator.is_silent = True
    asking = asyncio.ensure_future(stand.detect(jpeg(), deadline_ms=20_000))
    await stand.coordinator.heard(JobSubmitted)

    stand.server.kill()
    stand.coordinator.is_silent = False  # and with no node, it answers at once
    await stand.server.start()

    assert (await asking).json()["error"]["code"] == "NO_NODE_ONLINE"


async def test_a_node_that_is_gone_is_reported_without_waiting(stand: Stand, node: Node) -> None:
    assert node.bus is not None
    await node.bus.close()

    answer = await stand.detect(jpeg())

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "ATTEMPTS_EXHAUSTED")
    (event,) = await stand.coordinator.heard(AssignmentUndeliverable)
    assert event.reason is UndeliverableReason.NO_RESPONDERS


@pytest.mark.parametrize("crime", ["forged", "replayed", "unacknowledged"])
async def test_a_dishonest_reply_is_refused_counted_and_reported(stand: Stand, node: Node, crime: str) -> None:
    earlier: list[Assignment] = []

    def dishonest(assignment: Assignment, tensor: bytes) -> list[Said]:
        earlier.append(assignment)
        if crime == "replayed" and len(earlier) == 2:
            return [node.ack(earlier[0])]
        if crime == "unacknowledged":
            failure = AssignmentFailed(
                assignment_id=assignment.assignment_id, node_id=node.node_id, code=FailureCode.CANCELLED
            )
            return [(failure, b"")]
        return node.honest(assignment, tensor)

    node.script = dishonest
    if crime == "forged":
        node.signs_with = SigningKey.generate()
    if crime == "replayed":
        assert (await stand.detect(jpeg())).status_code == 200

    answer = await stand.detect(jpeg())

    assert answer.status_code == 502
    (event,) = await stand.coordinator.heard(AssignmentUndeliverable)
    assert event.reason is UndeliverableReason.BAD_REPLY
    reason = {"forged": "bad_signature", "replayed": "unknown_assignment", "unacknowledged": "out_of_turn"}[crime]
    counted = await stand.metric(f'gridlight_replies_rejected_total{{reason="{reason}"}}')
    assert counted >= 1


async def test_a_cancelled_assignment_is_told_to_the_node(stand: Stand, node: Node) -> None:
    node.script = lambda assignment, _: [node.ack(assignment)]
    asking = asyncio.ensure_future(stand.detect(jpeg(), deadline_ms=20_000))
    async with asyncio.timeout(WAIT_S):
        assignment = await node.assigned.get()
    (submitted,) = await stand.coordinator.heard(JobSubmitted)

    await stand.coordinator.say(
        CancelAssignment(gateway_id=submitted.gateway_id, node_id=node.node_id, assignment_id=assignment.assignment_id)
    )
    async with asyncio.timeout(WAIT_S):
        assert await node.controls.get() == CancelWork(assignment_id=assignment.assignment_id)
    timing = JobTiming(queue=1, ack=1, infer=1, total=1)
    outcome = Outcome(state=JobState.DONE, node_id=node.node_id, output=OUTPUT, timing=timing, attempts=2, hedged=True)
    await stand.coordinator.say(EndJob(job_id=submitted.job_id, gateway_id=submitted.gateway_id, outcome=outcome))

    assert (await asking).json()["hedged"] is True


async def test_only_an_administrator_may_pin_a_node(stand: Stand, node: Node) -> None:
    async def pinned(node_id: str, authorization: str) -> tuple[int, str]:
        headers = {"Content-Type": "image/jpeg", "X-Gridlight-Node": node_id, "Authorization": authorization}
        answer = await stand.http.post("/v1/detect", content=jpeg(), headers=headers)
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    assert await pinned(node.node_id, "") == (401, "UNAUTHORIZED")
    assert await pinned(node.node_id, "Basic abc") == (401, "UNAUTHORIZED")
    assert await pinned(node.node_id, "Bearer wrong") == (403, "FORBIDDEN")
    assert await pinned("U" + "A" * 55, f"Bearer {ADMIN_TOKEN}") == (400, "BAD_NODE_ID")
    assert await pinned(node.node_id, f"Bearer {ADMIN_TOKEN}") == (200, "")
    (submitted,) = await stand.coordinator.heard(JobSubmitted)
    assert submitted.pinned_node == node.node_id


async def test_nodes_that_joined_are_listed(stand: Stand) -> None:
    keys = [SigningKey.generate() for _ in range(3)]
    for key in keys:
        await stand.enrol(key)

    listed = (await stand.http.get("/v1/nodes")).json()
    assert (listed["enrolled"], listed["online"]) == (3, 0)
    assert {one["node_id"] for one in listed["nodes"]} == {NodeId(key.public) for key in keys}
    assert len((await stand.http.get("/v1/nodes?limit=1")).json()["nodes"]) == 1
    refused = await stand.http.get("/v1/nodes?limit=0")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BAD_REQUEST")


async def test_a_header_that_anybody_can_write_moves_no_node_to_another_prefix(stand: Stand) -> None:
    await stand.enrol(SigningKey.generate(), **{"X-Forwarded-For": "203.0.113.77"})

    (event,) = await stand.coordinator.heard(NodeEnrolled)
    assert event.prefix == "127.0.0.0/24"


async def test_whoever_thinks_of_joining_is_told_where_the_bus_is(stand: Stand, server: Server) -> None:
    told = (await stand.http.get("/v1/network")).json()

    assert (told["nats_url"], told["websocket_url"]) == (server.url, None)
    assert told["agent_version_min"]


async def test_a_killed_picture_process_is_replaced(stand: Stand, node: Node) -> None:
    for child in psutil.Process().children():
        if "gridlight.workloads.worker" in child.cmdline():
            child.kill()

    answers = [await stand.detect(jpeg()) for _ in range(2)]

    assert answers[-1].status_code == 200
    assert await stand.metric("gridlight_picture_process_restarts_total") == 1
