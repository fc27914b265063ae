"""Lines of text and their canonical bytes: one form, and nothing else is read."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.properties.arbitrary_lines import text_lines

from gridlight.messages.limits import LINE_CHARACTERS_MAX, LINES_BYTES_MAX, LINES_MAX
from gridlight.messages.lines import TextLine, decode_lines, encode_lines

LINE = TextLine(score=9_000, quad=(16, 16, 160, 20, 160, 40, 16, 36), text="Open daily")


def row(text: bytes = b"Open", *, score: int = 9_000, top: int = 0, size: int | None = None) -> bytes:
    """One line's bytes, whatever is in them."""
    return pack("<H8HH", score, 0, top, 9, top, 9, 9, 0, 9, len(text) if size is None else size) + text


@given(st.lists(text_lines(), max_size=8))
def test_lines_come_back_from_their_bytes_in_canonical_order(lines: list[TextLine]) -> None:
    output = encode_lines(list(set(lines)))

    assert set(decode_lines(output)) == set(lines)
    assert encode_lines(decode_lines(output)[::-1]) == output


@given(st.binary(max_size=200))
def test_whatever_is_read_has_these_very_bytes(output: bytes) -> None:
    try:
        lines = decode_lines(output)
    except ValueError:
        return
    assert encode_lines(lines) == output


def test_the_rectangle_is_around_all_four_corners() -> None:
    assert LINE.box == (16, 16, 160, 40)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (b"\0", "cut off"),
        (row()[:-1], "text is cut off"),
        (row(size=5), "text is cut off"),
        (row(score=1_999), "score 1999"),
        (row(score=10_001), "score 10001"),
        (row(b""), "0 characters"),
        (row(b"x" * (LINE_CHARACTERS_MAX + 1)), "257 characters"),
        (row(b"\xff"), "utf-8"),
        (row(b"\xed\xa0\x80"), "utf-8"),
        (row(b"red\x1b[31m"), "control"),
        (row("turned\u202e".encode()), "control"),
        (row(b" x"), "spaces around"),
        (row("e\u0301".encode()), "NFC"),
        (row() + row(), "comes twice"),
        (row(top=5) + row(), "canonical order"),
        (b"".join(row(top=top) for top in range(LINES_MAX + 1)), "301 lines"),
        (bytes(LINES_BYTES_MAX + 1), "at most 65536"),
    ],
)
def test_junk_is_refused_with_the_reason(output: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode_lines(output)


def test_what_we_write_ourselves_is_in_range() -> None:
    with pytest.raises(AssertionError, match="score 1"):
        encode_lines([replace(LINE, score=1)])
    with pytest.raises(AssertionError):
        encode_lines([TextLine(score=9_000, quad=(0, y, 1, y, 1, 1, 0, 1), text="語" * 250) for y in range(100)])
