"""Which of two releases is older."""

import pytest

from gridlight.core.versions import is_older


@pytest.mark.parametrize(
    ("version", "than", "is_so"),
    [
        ("0.1.0", "0.2.0", True),
        ("0.9", "0.10", True),
        ("1", "1.0.1", True),
        ("0.2.0", "0.1.9", False),
        ("1.0", "1", False),
        ("1", "1.0.0", False),
        ("0", "0.0.1", True),
        ("0.2.0.dev3", "0.2.0", False),
        ("0.1.0+local", "0.2", True),
        ("", "0.1", False),
        ("nightly", "0.1", False),
        ("0.1", "any", False),
    ],
)
def test_numbers_tell_which_release_is_older(version: str, than: str, is_so: bool) -> None:
    assert is_older(version, than) is is_so
