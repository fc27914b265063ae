"""Any message comes back from its bytes as it was; of any bytes a decoder says one thing only."""

import contextlib
import json
from struct import pack
from typing import Any, Union, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.arbitrary import messages

from gridlight.messages import codec
from gridlight.messages.codec import (
    MESSAGE_TYPES,
    Decoder,
    Event,
    GatewayEvent,
    ProtocolViolation,
    decode_record,
    encode,
    encode_record,
)
from gridlight.messages.frames import (
    PREFIX,
    FrameHeader,
    Tensor,
    decode_prefix,
    encode_prefix_and_header,
    headers,
)
from gridlight.messages.limits import DETECTIONS_MAX, THRESHOLD_REPORT
from gridlight.messages.nodes import OfferChanged
from gridlight.messages.results import SCORE_ONE, Detection, decode_detections, encode_detections

DECODERS: dict[str, Decoder[Any]] = {
    name: value for name, value in vars(codec).items() if isinstance(value, Decoder)
} | {"headers": headers}
any_message: Decoder[msgspec.Struct] = Decoder(Union[MESSAGE_TYPES])  # noqa: UP007 - the types are only known here

HEARD: list[type[msgspec.Struct]] = [*get_args(GatewayEvent), OfferChanged]
"""What comes from outside and is journalled."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

words = st.integers(0, 2**16 - 1)
corners = st.tuples(words, words).map(sorted)
boxes = st.tuples(corners, corners).map(lambda xy: (xy[0][0], xy[1][0], xy[0][1], xy[1][1]))
detections = st.builds(Detection, class_id=words, score=st.integers(THRESHOLD_REPORT, SCORE_ONE), box=boxes)
rows = st.builds(lambda *row: pack("<6H", *row), words, st.integers(1_990, 10_010), words, words, words, words)


def paths_of_integers(said: Any) -> list[tuple[Any, ...]]:
    """Where numbers stand in some JSON."""
    if isinstance(said, int):
        return [()]
    places = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    return [(key, *path) for key, value in places for path in paths_of_integers(value)]


def replaced(said: Any, path: tuple[Any, ...], number: int) -> Any:
    """The same JSON with another number in one place."""
    if not path:
        return number
    copy = said.copy()
    copy[path[0]] = replaced(said[path[0]], path[1:], number)
    return copy


@pytest.mark.parametrize("kind", MESSAGE_TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=10)
@given(data=st.data())
def test_any_message_comes_back_from_its_bytes(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    message = data.draw(messages(kind))

    assert any_message.decode(encode(message)) == message


@settings(max_examples=30)
@given(events=st.lists(st.one_of([messages(kind) for kind in get_args(Event)]), max_size=8))
def test_any_events_come_back_from_their_record(events: list[Event]) -> None:
    assert decode_record(encode_record(events)) == events


@settings(max_examples=50)
@given(
    header=st.builds(
        FrameHeader,
        id=st.text(max_size=8),
        tensor=st.none() | messages(Tensor),
        parameters=st.dictionaries(st.text(max_size=8), json_values, max_size=3),
        error=st.none() | st.text(max_size=8),
        error_code=st.none() | st.text(max_size=8),
    ),
    body_bytes=st.integers(0, 16 * 1024 * 1024),
)
def test_any_frame_header_comes_back_from_its_bytes(header: FrameHeader, body_bytes: int) -> None:
    try:
        data = encode_prefix_and_header(header, body_bytes)
    except OverflowError:
        return  # a number that no parameter of ours is

    assert decode_prefix(data[: PREFIX.size]) == (len(data) - PREFIX.size, body_bytes)
    assert headers.decode(data[PREFIX.size :]) == header


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
@settings(max_examples=25)
@given(data=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_are_a_message_or_a_violation(decoder: Decoder[Any], data: bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        decoder.decode(data)


@settings(max_examples=80)
@given(data=st.data())
def test_a_spoilt_message_is_a_message_or_a_violation(data: st.DataObject) -> None:
    line = bytearray(encode(data.draw(messages(data.draw(st.sampled_from(MESSAGE_TYPES))))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(line) - 1))
        line[place : place + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=4))
        if not line:
            break

    with contextlib.suppress(ProtocolViolation):
        any_message.decode(bytes(line))


@pytest.mark.parametrize("kind", HEARD, ids=lambda kind: kind.__name__)
@settings(max_examples=6)
@given(data=st.data())
def test_no_number_is_taken_that_cannot_be_journalled(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    said = json.loads(encode(data.draw(messages(kind))))
    for path in paths_of_integers(said):
        for number in (10**30, -(10**30)):
            with contextlib.suppress(ProtocolViolation):
                event = any_message.decode(json.dumps(replaced(said, path, number)).encode())
                encode_record([event])  # type: ignore[list-item]


@settings(max_examples=150)
@given(found=st.lists(detections, max_size=12, unique_by=str))
def test_a_list_of_detections_comes_back_in_its_one_order(found: list[Detection]) -> None:
    output = encode_detections(found)

    again = decode_detections(output)

    assert sorted(map(str, again)) == sorted(map(str, found))
    assert encode_detections(again[::-1]) == output


@settings(max_examples=150)
@given(output=st.binary(max_size=60) | st.lists(rows, max_size=4).map(b"".join))
def test_whatever_is_taken_as_detections_is_the_only_form_of_them(output: bytes) -> None:
    try:
        found = decode_detections(output)
    except ValueError:
        return

    assert encode_detections(found) == output


def test_the_longest_list_of_detections_comes_back() -> None:
    found = [Detection(class_id=number, score=5_000, box=(0, 0, 1, 1)) for number in range(DETECTIONS_MAX)]

    assert decode_detections(encode_detections(found)) == found
