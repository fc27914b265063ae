"""The main job on real photos: every node acknowledges within 1 s and returns within 4 s what is in them, and where."""

import base64
import io
import tomllib
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from PIL import Image
from tests.acceptance.callers import ask
from tests.acceptance.conftest import NODES
from tests.acceptance.stand import Network, gridlight

from gridlight.client.casestudy.findings import are_alike
from gridlight.client.requester import Gridlight
from gridlight.messages.api import DetectionView, DetectResponse

ACK_MS = 1_000
RESULT_MS = 4_000
OVERLAP = 0.5
"""Intersection over union from which on two boxes mean the same thing."""

Bounds = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def references() -> list[dict[str, Any]]:
    """What a person drew around on the bus photo."""
    drawn = tomllib.loads(Path(__file__).with_name("reference_boxes.toml").read_text(encoding="utf-8"))
    things: list[dict[str, Any]]
    [things] = [photo["things"] for photo in drawn["photos"] if photo["file"] == "bus.jpg"]
    assert len(things) >= 3
    return things


@pytest.fixture(scope="module")
def response(network: Network, bus: Path) -> DetectResponse:
    """The bus photo at the default threshold."""
    with Gridlight(network.url) as requester:
        return requester.detect(bus)


def test_every_node_acks_every_photo_within_1_s_and_returns_it_within_4_s(
    network: Network, photos: dict[str, Path]
) -> None:
    with network.administrator() as administrator:
        ends = {
            (node_id, name): ask(administrator, photo, node=node_id)
            for node_id in network.agents()
            for name, photo in photos.items()
        }

    assert len(ends) == NODES * len(photos)
    assert {key: str(end) for key, end in ends.items() if end.response is None} == {}
    answers = {key: end.response for key, end in ends.items() if end.response is not None}
    assert [key for key, answer in answers.items() if answer.node_id != key[0]] == []
    assert [(key, answer.timing_ms) for key, answer in answers.items() if answer.timing_ms.ack >= ACK_MS] == []
    assert [(key, str(end)) for key, end in ends.items() if end.lasted_ms >= RESULT_MS] == []


def test_all_nodes_find_the_same(network: Network, bus: Path, response: DetectResponse) -> None:
    with network.administrator() as administrator:
        answers = [administrator.detect(bus, node=node_id) for node_id in network.agents()]

    assert [answer.node_id for answer in answers if not are_alike(answer.detections, response.detections)] == []


def test_what_a_person_drew_is_found(references: list[dict[str, Any]], response: DetectResponse) -> None:
    whole = [thing for thing in references if not thing.get("partial")]

    missed = [thing["note"] for thing in whole if not any(is_same(found, thing) for found in response.detections)]

    assert {thing["label"] for thing in whole} == {"bus", "person"}
    assert missed == []


def test_what_is_found_was_drawn_by_a_person(references: list[dict[str, Any]], response: DetectResponse) -> None:
    invented = [found for found in response.detections if not any(is_same(found, thing) for thing in references)]

    assert (response.image.width, response.image.height) == (810, 1080)
    assert invented == []


def test_the_command_line_prints_saves_and_filters(network: Network, bus: Path, tmp_path: Path) -> None:
    saved = tmp_path / "boxes.png"

    ran = gridlight("detect", bus, "--url", network.url, "--json", "--save", saved, "--threshold", "0.6")

    assert ran.returncode == 0, ran.stderr
    answer = msgspec.json.decode(ran.stdout, type=DetectResponse)
    assert sorted(found.label for found in answer.detections) == ["bus", "person", "person"]
    assert min(found.score for found in answer.detections) >= 0.6
    assert answer.verification == "provisional"
    with Image.open(saved) as drawn, Image.open(bus) as original:
        assert drawn.size == original.size
        assert drawn.convert("RGB").tobytes() != original.convert("RGB").tobytes()


def test_three_shapes_of_body_say_the_same(network: Network, bus: Path, response: DetectResponse) -> None:
    picture, url = bus.read_bytes(), f"{network.url}/v1/detect"
    with httpx.Client(trust_env=False, timeout=10, headers={"apikey": network.api_key}) as http:
        answers = [
            http.post(url, content=picture, headers={"Content-Type": "image/jpeg"}),
            http.post(url, files={"image": ("bus.jpg", picture, "image/jpeg")}, data={"deadline_ms": "4000"}),
            http.post(url, json={"image": {"b64": base64.b64encode(picture).decode()}, "threshold": 0.25}),
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    decoded = [msgspec.json.decode(answer.content, type=DetectResponse) for answer in answers]
    assert [answer.id for answer in decoded if not are_alike(answer.detections, response.detections)] == []


def test_a_turned_photo_is_answered_in_the_pixels_as_shown(
    network: Network, bus: Path, references: list[dict[str, Any]]
) -> None:
    file = io.BytesIO()
    with Image.open(bus) as upright:
        exif = Image.Exif()
        exif[0x0112] = 6  # stored lying on its left side: turn it clockwise to show it
        upright.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=95, exif=exif)

    with Gridlight(network.url) as requester:
        answer = requester.detect(file.getvalue())

    assert (answer.image.width, answer.image.height) == (810, 1080)
    whole = [thing for thing in references if not thing.get("partial")]
    assert [thing["note"] for thing in whole if not any(is_same(found, thing) for found in answer.detections)] == []


def is_same(found: DetectionView, thing: dict[str, Any]) -> bool:
    """The same label, around the same place."""
    bounds = (found.box.xmin, found.box.ymin, found.box.xmax, found.box.ymax)
    return found.label == thing["label"] and overlap(bounds, tuple(thing["box"])) >= OVERLAP


def overlap(one: Bounds, other: Bounds) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    return both / (area(one) + area(other) - both)


def area(bounds: Bounds) -> float:
    """Of a box of left, top, right, bottom."""
    return (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
