"""How the figures of casestudy.json follow from single requests."""

from typing import Any

from gridlight.client.casestudy.findings import UNANSWERED, are_alike, find_node, find_photo, find_requests
from gridlight.client.casestudy.statistics import Spread, WideSpread
from gridlight.messages.api import Box, DetectionView
from gridlight.messages.ids import NodeId

ONE = NodeId("U" + "A" * 55)
OTHER = NodeId("U" + "B" * 55)


def test_a_node_is_measured_by_its_pinned_and_its_ordinary_tasks(make_observation: Any, make_response: Any) -> None:
    observations = [
        make_observation(make_response(ONE, ack=10, total=100), pinned_node=ONE),
        make_observation(make_response(ONE, ack=30, total=300)),
        make_observation(make_response(OTHER, ack=900, total=3000)),
        make_observation(code="NODE_NOT_ONLINE", pinned_node=ONE),
        make_observation(code="BUSY"),
    ]

    found = find_node(ONE, observations)

    assert (found.tasks, found.answered) == (3, 2)
    assert found.ack_ms == Spread(p50=10, p95=30, max=30)
    assert found.result_ms == Spread(p50=100, p95=300, max=300)


def test_a_node_that_answered_nothing_has_no_times(make_observation: Any) -> None:
    found = find_node(ONE, [make_observation(code="NODE_NOT_ONLINE", pinned_node=ONE)])

    assert (found.tasks, found.answered, found.ack_ms, found.result_ms) == (1, 0, None, None)


def test_every_request_is_counted_exactly_once(make_observation: Any, make_response: Any) -> None:
    observations = [
        make_observation(make_response(), started_ms=100, latency_ms=50),
        make_observation(make_response(attempts=2), started_ms=110, latency_ms=700),
        make_observation(make_response(attempts=2, hedged=True), latency_ms=400, started_ms=120),
        make_observation(code="BUSY", latency_ms=10, started_ms=130),
        make_observation(code="DEADLINE_EXCEEDED", latency_ms=3990, started_ms=140),
        make_observation(code=UNANSWERED, latency_ms=5500, started_ms=150),
    ]

    found = find_requests(observations)

    assert found.sent == found.answered + found.refused + found.deadline_exceeded + found.unanswered == 6
    assert (found.answered, found.refused, found.deadline_exceeded, found.unanswered) == (3, 1, 1, 1)
    assert (found.hedged, found.reassigned) == (1, 1)
    assert found.codes == {"BUSY": 1, "DEADLINE_EXCEEDED": 1, UNANSWERED: 1}
    # What got no answer has no latency; it is counted instead.
    assert found.latency_ms == WideSpread(p50=400, p95=3990, p99=3990, max=3990)
    assert found.duration_ms == 5550


def test_no_requests_have_no_latency() -> None:
    found = find_requests([])

    assert (found.sent, found.latency_ms, found.duration_ms) == (0, None, 0)


def test_nodes_that_see_something_else_are_counted(make_observation: Any, make_response: Any) -> None:
    observations = [
        make_observation(make_response(ONE), pinned_node=ONE),
        make_observation(make_response(OTHER, detections=()), pinned_node=OTHER),
        make_observation(make_response(OTHER, detections=()), file="cat.jpg", pinned_node=OTHER),
        make_observation(make_response(OTHER, detections=())),
    ]

    found = find_photo("bus.jpg", observations)

    assert [one.label for one in found.detections] == ["bus", "person"]
    assert (found.nodes_answered, found.nodes_agreeing) == (2, 1)


def test_a_photo_that_no_node_answered_has_no_detections(make_observation: Any) -> None:
    found = find_photo("bus.jpg", [make_observation(code="NODE_NOT_ONLINE", pinned_node=ONE)])

    assert (found.image, found.detections, found.nodes_answered) == (None, [], 0)


def test_nodes_agree_whose_scores_and_boxes_are_as_near_as_seeds_leave_them() -> None:
    def seen(score: float, *, class_id: int = 6, left: int = 100) -> DetectionView:
        box = Box(xmin=left, ymin=100, xmax=left + 100, ymax=200)
        return DetectionView("bus", "bus", class_id, score, score, (left, 100, left + 100, 200), box)

    assert are_alike([seen(0.9)], [seen(0.901, left=101)])
    assert are_alike([seen(0.9), seen(0.251)], [seen(0.9)])
    assert not are_alike([seen(0.9)], [seen(0.92)])
    assert not are_alike([seen(0.9)], [seen(0.9, left=150)])
    assert not are_alike([seen(0.9)], [seen(0.9, class_id=7)])
    assert not are_alike([], [seen(0.9)])
