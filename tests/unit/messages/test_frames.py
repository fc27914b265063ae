"""Frames between a process and its confined worker."""

import pytest

from gridlight.messages.codec import ProtocolViolation, ViolationReason
from gridlight.messages.frames import (
    PREFIX,
    FrameHeader,
    Tensor,
    decode_prefix,
    encode_prefix_and_header,
    headers,
)
from gridlight.messages.limits import FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES_MAX

HEADER = FrameHeader(
    id="7",
    tensor=Tensor(name="image", shape=(1, 300, 300, 3), datatype="UINT8"),
    parameters={"probe_seed": 5},
)


def test_a_frame_says_how_long_its_parts_are() -> None:
    data = encode_prefix_and_header(HEADER, 270_000)

    header_bytes, body_bytes = decode_prefix(data[: PREFIX.size])

    assert (header_bytes, body_bytes) == (len(data) - PREFIX.size, 270_000)
    assert headers.decode(data[PREFIX.size :]) == HEADER


def test_a_header_leaves_out_what_is_not_there() -> None:
    assert encode_prefix_and_header(FrameHeader(id="7"), 0)[PREFIX.size :] == b'{"id":"7"}'


@pytest.mark.parametrize("lengths", [(FRAME_HEADER_BYTES_MAX + 1, 0), (0, FRAME_BODY_BYTES_MAX + 1), (2**32 - 1,) * 2])
def test_a_frame_past_its_bounds_is_refused_before_it_is_read(lengths: tuple[int, int]) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        decode_prefix(PREFIX.pack(*lengths))
    assert caught.value.reason is ViolationReason.TOO_LARGE


def test_the_largest_frame_is_taken() -> None:
    lengths = (FRAME_HEADER_BYTES_MAX, FRAME_BODY_BYTES_MAX)

    assert decode_prefix(PREFIX.pack(*lengths)) == lengths


def test_to_send_a_frame_past_its_bounds_is_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError):
        encode_prefix_and_header(HEADER, FRAME_BODY_BYTES_MAX + 1)
    with pytest.raises(AssertionError):
        encode_prefix_and_header(FrameHeader(id="x" * FRAME_HEADER_BYTES_MAX), 0)


def test_a_header_that_is_none_is_refused() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        headers.decode(b'{"parameters":{}}')
    assert caught.value.reason is ViolationReason.MALFORMED
