"""The scenario that is short enough for every check, as it is kept."""

from pathlib import Path

from gridlight.simulation.report import Instruments
from gridlight.simulation.run import run_scenario

SMOKE = Path(__file__).resolve().parents[2] / "scenarios" / "smoke.toml"


def test_two_thousand_nodes_and_every_fault_break_no_promise() -> None:
    instruments = Instruments(clock_ms=lambda: 0, rss_mib=lambda: 0, commit=None)

    report = run_scenario(SMOKE, seed=None, instruments=instruments, listen=lambda _stage, _done, _total: None)

    assert set(report.faults) == {"coordinator crash", "bus restart", "outage of regions", "partition of a gateway"}
    assert report.tasks > 10_000
    assert report.within_deadline > 0.98
    assert report.extra_dispatches < 0.25
    assert sum(report.refused.values()) < report.tasks // 500  # while a region of nodes is silent
