"""HTTP bodies: what may be asked, and the three spellings of one detection."""

import json

import msgspec
import pytest
from tests.unit.core.world import job_id, node_id

from gridlight.messages.api import (
    Box,
    DetectBody,
    DetectionView,
    ErrorView,
    NodeView,
    RequestView,
)

PICTURE = {"b64": "aGVsbG8="}


def test_a_body_needs_nothing_but_a_picture() -> None:
    body = msgspec.json.decode(msgspec.json.encode({"image": PICTURE}), type=DetectBody)

    assert (body.image.b64, body.model, body.deadline_ms, body.threshold) == (PICTURE["b64"], None, None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline_ms": 199},
        {"deadline_ms": 60_001},
        {"deadline_ms": -1},
        {"deadline_ms": "4000"},
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"threshhold": 0.5},
        {"image": {"b64": "", "url": "http://example.org"}},
        {"image": None},
    ],
)
def test_a_body_with_a_wrong_field_is_refused(wrong: dict[str, object]) -> None:
    data = msgspec.json.encode({"image": PICTURE} | wrong)

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=DetectBody)


def test_a_detection_is_said_in_each_of_its_spellings() -> None:
    box = Box(xmin=1, ymin=2, xmax=3, ymax=4)
    view = DetectionView(
        label="bus", class_name="bus", class_id=6, score=0.9, confidence=0.9, bbox=(1, 2, 3, 4), box=box
    )

    said = json.loads(msgspec.json.encode(view))

    assert said["label"] == said["class"] == "bus"
    assert "class_name" not in said
    assert said["bbox"] == [1, 2, 3, 4]
    assert said["box"] == {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}


def test_what_is_not_there_is_left_out() -> None:
    error = ErrorView(code="BUSY", message="All slots are busy.", hint="Try again.", request_id="r")

    said = json.loads(msgspec.json.encode(RequestView(id=job_id(1), state="refused", error=error)))

    assert set(said) == {"id", "state", "error"}


def test_a_nodes_zeros_are_said() -> None:
    view = NodeView(
        node_id=node_id(1),
        online=False,
        operator=node_id(2),
        agent_version="1",
        cpus=1,
        memory_mib=1,
        slots=0,
        workloads=[],
        tasks_answered=0,
    )

    assert json.loads(msgspec.json.encode(view))["online"] is False
