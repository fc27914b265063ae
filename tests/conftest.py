"""How the suite is shared out to its two processes: file by file, the longest kinds first."""

from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
_LONGEST_FIRST: Final = ("acceptance", "integration", "simulation", "properties")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what they set up, and those of one `xdist_group` what the machine has once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(_HERE))))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    kind = item.path.relative_to(_HERE).parts[0]
    return _LONGEST_FIRST.index(kind) if kind in _LONGEST_FIRST else len(_LONGEST_FIRST)
