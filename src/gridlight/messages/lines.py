"""The canonical bytes of a text recognition: lines of text, each with its corners and how sure it is.

A bijection like that of detections: `u16 score in 1e-4, 8 x u16 corners x0 y0 .. x3 y3 in 1/16 px of the model's input,
u16 bytes, UTF-8`, little-endian, from top to bottom and from left to right of the lines' rectangles, then by corners,
text and falling score.
"""

import re
import unicodedata
from itertools import pairwise
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from gridlight.messages.limits import LINE_CHARACTERS_MAX, LINES_BYTES_MAX, LINES_MAX, THRESHOLD_REPORT
from gridlight.messages.results import SCORE_ONE

Quad = tuple[int, int, int, int, int, int, int, int]

_HEAD: Final = Layout("<H8HH")
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of writing: a line is shown on people's terminals."""


class TextLine(Struct, frozen=True, gc=False, kw_only=True, order=False):
    """One line of text. `score` in 1e-4, `quad` its four corners in 1/16 px of the model's input."""

    score: int
    quad: Quad
    text: str

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The rectangle (x0, y0, x1, y1) around its corners."""
        across, down = self.quad[::2], self.quad[1::2]
        return min(across), min(down), max(across), max(down)


def line_order(line: TextLine) -> tuple[int, int, Quad, str, int]:
    """Sort key of the canonical form."""
    left, top, _, _ = line.box
    return top, left, line.quad, line.text, -line.score


def encode_lines(lines: list[TextLine]) -> bytes:
    """Put distinct lines in canonical order and bytes; asserts that they are in range, since they are ours."""
    ordered = sorted(lines, key=line_order)
    fault = _fault(ordered)
    assert fault is None, fault
    output = b"".join(_packed(line) for line in ordered)
    assert len(output) <= LINES_BYTES_MAX
    return output


def decode_lines(output: bytes) -> list[TextLine]:
    """Read a node's output. ValueError for what is not the canonical form of some list of lines."""
    if len(output) > LINES_BYTES_MAX:
        raise ValueError(f"{len(output)} bytes of lines, and at most {LINES_BYTES_MAX} are allowed")
    lines: list[TextLine] = []
    place = 0
    while place < len(output):
        if len(output) - place < _HEAD.size:
            raise ValueError("the last line is cut off")
        score, x0, y0, x1, y1, x2, y2, x3, y3, size = _HEAD.unpack_from(output, place)
        place += _HEAD.size
        text = output[place : place + size]
        if len(text) < size:
            raise ValueError("the last line's text is cut off")
        place += size
        # A UnicodeDecodeError is a ValueError.
        lines.append(TextLine(score=score, quad=(x0, y0, x1, y1, x2, y2, x3, y3), text=text.decode("utf-8")))
    fault = _fault(lines)
    if fault is not None:
        raise ValueError(fault)
    return lines


def _packed(line: TextLine) -> bytes:
    text = line.text.encode("utf-8")
    return _HEAD.pack(line.score, *line.quad, len(text)) + text


def _fault(lines: list[TextLine]) -> str | None:
    """Why a list of lines has no canonical form as it stands."""
    if len(lines) > LINES_MAX:
        return f"{len(lines)} lines, and at most {LINES_MAX} are allowed"
    for line in lines:
        if not THRESHOLD_REPORT <= line.score <= SCORE_ONE:
            return f"score {line.score} is outside {THRESHOLD_REPORT}..{SCORE_ONE}"
        if fault := _text_fault(line.text):
            return fault
    if any(line_order(one) >= line_order(other) for one, other in pairwise(lines)):
        return "lines are not in canonical order, or one comes twice"
    return None


def _text_fault(text: str) -> str | None:
    if not 1 <= len(text) <= LINE_CHARACTERS_MAX:
        return f"a text of {len(text)} characters, and 1 to {LINE_CHARACTERS_MAX} are allowed"
    if _UNSEEN.search(text) or text != text.strip():
        return "a text with control characters, or with spaces around it"
    if not unicodedata.is_normalized("NFC", text):
        return "a text that is not in Unicode's form NFC"
    return None
