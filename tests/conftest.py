"""How the suite is shared out to its two processes: file by file, the longest kinds first."""

from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
_LONGEST_FIRST: Final = ("acceptance", "integration", "simulation", "properties")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what they set up, so they stay together."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    kind = item.path.relative_to(_HERE).parts[0]
    return _LONGEST_FIRST.index(kind) if kind in _LONGEST_FIRST else len(_LONGEST_FIRST)
