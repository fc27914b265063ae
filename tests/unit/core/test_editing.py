"""How near two texts are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlight.core.editing import edit_distance, is_near

TEXTS = st.text("abc ", max_size=12)


def by_the_table(one: str, other: str) -> int:
    """Wagner and Fischer's, cell by cell."""
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, start=1):
        above, row = row, [number]
        for place, another in enumerate(other, start=1):
            row.append(min(above[place] + 1, row[-1] + 1, above[place - 1] + (character != another)))
    return row[-1]


@given(TEXTS, TEXTS)
def test_the_distance_is_that_of_the_whole_table(one: str, other: str) -> None:
    assert edit_distance(one, other) == by_the_table(one, other) == edit_distance(other, one)


@pytest.mark.parametrize(
    ("one", "other", "share_max", "is_so"),
    [
        ("HARBOUR MARKET", "HARBOURMARKET", 0, True),
        ("kitten", "sitting", 4_285, False),
        ("kitten", "sitting", 4_286, True),
        ("", "", 0, True),
        ("a", "abcdefghij", 8_999, False),
        ("a", "abcdefghij", 9_000, True),
        ("0142", "0143", 2_499, False),
        ("0142", "0143", 2_500, True),
    ],
)
def test_spaces_do_not_count_and_the_share_is_of_the_longer_text(
    one: str, other: str, share_max: int, is_so: bool
) -> None:
    assert is_near(one, other, share_max) is is_so
    assert is_near(other, one, share_max) is is_so
