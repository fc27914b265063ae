"""Length-prefixed frames between a process and the confined worker it started, over an inherited socketpair.

A frame is `u32 header bytes, u32 body bytes` (little-endian), a JSON header, and raw bytes. Header fields follow the
Open Inference Protocol v2: `id`, `parameters`, tensors' `name`, `shape`, `datatype`.
"""

from struct import Struct as Layout
from typing import Any

import msgspec
from msgspec import Struct

from gridlight.messages.codec import Decoder, ProtocolViolation, ViolationReason
from gridlight.messages.limits import FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES_MAX

PREFIX = Layout("<II")


class Tensor(Struct, frozen=True, gc=False, kw_only=True):
    """What the body holds. `datatype` is the Open Inference Protocol's word: UINT8, FP32, BYTES."""

    name: str
    shape: tuple[int, ...]
    datatype: str


class FrameHeader(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One call to a worker, or its answer; `error` is set where it failed, with a code for programs."""

    id: str
    tensor: Tensor | None = None
    parameters: dict[str, Any] = {}
    error: str | None = None
    error_code: str | None = None


headers: Decoder[FrameHeader] = Decoder(FrameHeader, FRAME_HEADER_BYTES_MAX)


def encode_prefix_and_header(header: FrameHeader, body_bytes: int) -> bytes:
    """What goes before the body, so that a large body is not copied to be sent."""
    data = msgspec.json.encode(header)
    assert len(data) <= FRAME_HEADER_BYTES_MAX
    assert body_bytes <= FRAME_BODY_BYTES_MAX
    return PREFIX.pack(len(data), body_bytes) + data


def decode_prefix(prefix: bytes) -> tuple[int, int]:
    """Header and body length; ProtocolViolation where either is past its bound."""
    header_bytes, body_bytes = PREFIX.unpack(prefix)
    if header_bytes > FRAME_HEADER_BYTES_MAX or body_bytes > FRAME_BODY_BYTES_MAX:
        raise ProtocolViolation(ViolationReason.TOO_LARGE, f"frame of {header_bytes} + {body_bytes} bytes")
    return header_bytes, body_bytes
