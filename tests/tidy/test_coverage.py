"""Every branch of core and messages is taken by some test. Asked last, of the run it is part of."""

import io

import coverage
import pytest


def test_every_branch_of_core_and_messages_is_taken(request: pytest.FixtureRequest) -> None:
    measuring = coverage.Coverage.current()
    if measuring is None:
        pytest.skip("nothing is measured: `make test` runs the suite under coverage")
    if request.config.args != request.config.getini("testpaths"):
        pytest.skip("only a part of the suite was run")
    measuring.stop()
    report = io.StringIO()
    percent = measuring.report(file=report)
    assert percent == 100, (
        f"what decides is tested in every branch, since it decides for strangers:\n{report.getvalue()}"
    )
