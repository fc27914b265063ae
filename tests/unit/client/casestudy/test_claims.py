"""When a claim held, when it did not, and when it was not tested."""

from typing import Any

import msgspec
import pytest

from gridlight.client.casestudy.claims import weigh_claims
from gridlight.client.casestudy.findings import Claim, NodeFindings, PhotoFindings, RequestFindings
from gridlight.client.casestudy.statistics import Spread, WideSpread
from gridlight.messages.ids import NodeId

NODES = [
    NodeFindings(
        node_id=NodeId("U" + letter * 55),
        tasks=10,
        answered=10,
        ack_ms=Spread(p50=10, p95=20, max=999),
        result_ms=Spread(p50=100, p95=200, max=3999),
    )
    for letter in "ABCDEFG"
]
REQUESTS = RequestFindings(
    sent=200,
    answered=199,
    refused=1,
    deadline_exceeded=0,
    unanswered=0,
    hedged=0,
    reassigned=3,
    codes={"BUSY": 1},
    latency_ms=WideSpread(p50=100, p95=200, p99=300, max=4000),
    duration_ms=5000,
)


@pytest.fixture
def photos(make_outcome: Any) -> list[PhotoFindings]:
    found: list[PhotoFindings] = make_outcome().study.photos
    return found


def held(claims: list[Claim]) -> list[bool | None]:
    return [claim.held for claim in claims]


def test_all_hold_at_their_limits(photos: list[PhotoFindings]) -> None:
    claims = weigh_claims(NODES, REQUESTS, photos, is_disturbed=True)

    assert held(claims) == [True] * 6
    assert [claim.source for claim in claims] == ["reference"] * 4 + ["gridlight"] * 2
    assert "999 ms" in claims[1].measured
    assert "3,999 ms" in claims[2].measured


def test_an_undisturbed_network_is_held_to_the_reference_only(photos: list[PhotoFindings]) -> None:
    assert len(weigh_claims(NODES, REQUESTS, photos, is_disturbed=False)) == 4


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ack_ms": Spread(p50=10, p95=20, max=1000)}, [True, False, True]),
        ({"result_ms": Spread(p50=10, p95=20, max=4000)}, [True, True, False]),
        ({"answered": 9}, [True, False, False]),
        ({"tasks": 1, "answered": 0, "ack_ms": None, "result_ms": None}, [False, False, False]),
    ],
)
def test_one_node_that_fails_breaks_a_claim_about_every_node(
    photos: list[PhotoFindings], change: dict[str, Any], expected: list[bool]
) -> None:
    nodes = [*NODES[:6], msgspec.structs.replace(NODES[6], **change)]

    assert held(weigh_claims(nodes, REQUESTS, photos, is_disturbed=False))[:3] == expected


def test_six_nodes_are_not_seven(photos: list[PhotoFindings]) -> None:
    assert weigh_claims(NODES[:6], REQUESTS, photos, is_disturbed=False)[0].held is False


def test_no_nodes_prove_nothing() -> None:
    assert held(weigh_claims([], REQUESTS, [], is_disturbed=False)) == [False, False, False, None]


def test_labels_are_not_tested_without_a_photo_of_a_bus(photos: list[PhotoFindings]) -> None:
    bus, person = photos[0].detections
    cat = msgspec.structs.replace(photos[0], file="cat.jpg", detections=[person])
    unseen = msgspec.structs.replace(photos[0], detections=[person])
    elsewhere = msgspec.structs.replace(photos[0], file="street.jpg", detections=[bus, person])

    assert weigh_claims(NODES, REQUESTS, [cat], is_disturbed=False)[3].held is None
    assert weigh_claims(NODES, REQUESTS, [unseen], is_disturbed=False)[3].held is False
    assert weigh_claims(NODES, REQUESTS, [elsewhere], is_disturbed=False)[3].held is True


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"latency_ms": WideSpread(p50=1, p95=2, p99=3, max=4001)}, [False, True]),
        ({"unanswered": 1, "refused": 0}, [False, True]),
        ({"answered": 198, "refused": 2}, [True, False]),
        ({"sent": 0, "answered": 0, "refused": 0, "latency_ms": None}, [False, False]),
    ],
)
def test_promises_under_disturbance_break_when_missed(
    photos: list[PhotoFindings], change: dict[str, Any], expected: list[bool]
) -> None:
    requests = msgspec.structs.replace(REQUESTS, **change)

    assert held(weigh_claims(NODES, requests, photos, is_disturbed=True))[4:] == expected
