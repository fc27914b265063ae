"""How the suite is shared out to its two processes, and whose steps are counted."""

from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
_LONGEST_FIRST: Final = ("acceptance", "integration", "simulation", "properties")
_COUNTED: Final = ("unit", "wire")
"""Every branch of core and messages is to be taken by the tests of rules. Counting makes the core nearly three times
as slow, and the simulator's tests, which run it most, would cover up for a rule without a test of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what they set up, so they stay together: file by file, the longest kinds first."""
    items.sort(key=_rank)
    for item in items:
        if _kind(item) not in _COUNTED:
            item.add_marker("no_cover")


def _rank(item: pytest.Item) -> int:
    kind = _kind(item)
    return _LONGEST_FIRST.index(kind) if kind in _LONGEST_FIRST else len(_LONGEST_FIRST)


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(_HERE).parts[0]
