"""How the suite is shared out to its two processes, and whose steps are counted."""

import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
_LONGEST_FIRST: Final = ("acceptance", "integration", "simulation", "properties")
_COUNTED: Final = ("unit", "wire")
"""Every branch of core and messages is to be taken by the tests of rules. Counting makes the core nearly three times
as slow, and the simulator's tests, which run it most, would cover up for a rule without a test of its own."""

_REAL: Final = ("acceptance", "integration")
"""Real processes and servers on a machine that others use, too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what they set up, so they stay together: file by file, the longest kinds first.

    A test of real processes that fails is run once more: the machine may have stood still. The summary names it then,
    and it is looked at as a failure is. Rules and properties get no second try.
    """
    items.sort(key=_rank)
    for item in items:
        if _kind(item) in _REAL:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Nothing is counted in a test of another kind, nor in what it sets up. The mark of pytest-cov that would say so
    has no effect in a process of xdist's, where it counts twice and stops one of both."""
    is_counting = type(sys.gettrace()).__module__.startswith("coverage")
    if _kind(item) in _COUNTED or not is_counting:
        return (yield)
    here, in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(here)
        threading.settrace(in_threads)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test that passed at its second try had said at its first, which nobody could look at otherwise."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.write_sep("_", f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def _rank(item: pytest.Item) -> int:
    kind = _kind(item)
    return _LONGEST_FIRST.index(kind) if kind in _LONGEST_FIRST else len(_LONGEST_FIRST)


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(_HERE).parts[0]
