"""Which ways to the bus a node tries, in which order, and what it remembers."""

from pathlib import Path

import msgspec
import pytest
from tests.unit.services.agent.test_gateway_api import ENROLMENT

from gridlight.messages.api import EnrolmentResponse
from gridlight.services.agent.ways import LastWay, Way, WayKind, ways_to

TCP = Way(WayKind.TCP, "nats://network.example:4222")
WEBSOCKET = Way(WayKind.WEBSOCKET, "wss://network.example/bus")


def enrolled(nats_url: str = TCP.url, websocket_url: str | None = WEBSOCKET.url) -> EnrolmentResponse:
    return msgspec.structs.replace(ENROLMENT, nats_url=nats_url, websocket_url=websocket_url)


@pytest.mark.parametrize(
    ("enrolment", "last", "ways"),
    [
        (enrolled(), None, [TCP, WEBSOCKET]),
        (enrolled(), WayKind.TCP, [TCP, WEBSOCKET]),
        (enrolled(), WayKind.WEBSOCKET, [WEBSOCKET, TCP]),
        (enrolled(websocket_url=None), WayKind.WEBSOCKET, [TCP]),
        (enrolled(nats_url=""), WayKind.TCP, [WEBSOCKET]),
        (enrolled(nats_url="", websocket_url=None), None, []),
    ],
)
def test_what_worked_last_is_tried_first(enrolment: EnrolmentResponse, last: WayKind | None, ways: list[Way]) -> None:
    assert ways_to(enrolment, last=last) == ways


def test_the_bus_of_this_machine_is_the_only_way_to_it() -> None:
    own = "nats://127.0.0.1:4222"

    assert ways_to(enrolled(), last=WayKind.WEBSOCKET, own_url=own) == [Way(WayKind.TCP, own)]


def test_what_a_gateway_before_websockets_said_is_understood() -> None:
    said = msgspec.json.decode(msgspec.json.encode(ENROLMENT))
    del said["websocket_url"]

    told = msgspec.json.decode(msgspec.json.encode(said), type=EnrolmentResponse)

    assert [way.kind for way in ways_to(told, last=None)] == [WayKind.TCP]


def test_what_worked_is_remembered_over_restarts(tmp_path: Path) -> None:
    first = LastWay(tmp_path / "way")
    first.keep(WayKind.WEBSOCKET)

    assert first.kind is LastWay(tmp_path / "way").kind is WayKind.WEBSOCKET


@pytest.mark.parametrize("content", [b"", b"pigeon\n", b"\xff\xfe", b"tcp" * 1_000])
def test_a_spoilt_memory_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "way").write_bytes(content)

    assert LastWay(tmp_path / "way").kind is None


def test_a_folder_that_takes_no_files_is_no_obstacle(tmp_path: Path) -> None:
    way = LastWay(tmp_path / "gone" / "way")

    way.keep(WayKind.TCP)

    assert way.kind is WayKind.TCP
