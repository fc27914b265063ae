"""What a run says of itself: every figure, misses as misses, one page, and the line that repeats a failure."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridlight.core.placement import Placement
from gridlight.simulation.page import render_page
from gridlight.simulation.report import Instruments, Report, summary, weigh, within_lower95, write_json
from gridlight.simulation.run import SimulationFailed, run_scenario

TEXT = """
description = "A network that is over in a moment."
seconds = 20
warm_seconds = 5
quiet_seconds = 5
[demand]
tasks_per_second = 5
[nodes]
count = 60
[faults]
partitions = 1
[trust]
profile = "laptop"
[adversary]
strategy = "cheap_model"
fraction_ppm = 200_000
"""
INSTRUMENTS = Instruments(clock_ms=iter(range(0, 10**6, 500)).__next__, rss_mib=lambda: 64, commit="0123456789ab")


def says_it_twice(kept: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def end(*given: Any) -> list[Any]:
        outputs = kept(*given)
        return [outputs[0], *outputs]

    return end


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenarios") / "moment.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def report(path: Path) -> Report:
    return run_scenario(path, seed=4, instruments=INSTRUMENTS, listen=lambda _stage, _done, _total: None)


def test_a_report_says_what_was_run_and_what_came_out(report: Report, tmp_path: Path) -> None:
    read = json.loads(write_json(report, tmp_path / "new").read_bytes())

    assert read["seed"] == 4
    assert read["commit"] == "0123456789ab"
    assert read["nodes"] == 60
    assert read["nodes_are"] == "simulated"
    assert read["tasks"] == pytest.approx(125, rel=0.3)
    assert read["events_per_second"] == read["events"] * 2
    assert 0 < read["within_deadline_lower95"] < read["within_deadline"] <= 1
    assert read["dispatches"] == pytest.approx(read["tasks"] * (1 + read["extra_dispatches"]))
    assert read["faults"] == {"partition of a gateway": 1}
    assert sum(count for _, count in read["waits"]) == read["done"]
    assert read["command"].endswith("moment.toml --seed 4")


def test_a_report_says_what_became_of_answers(report: Report, tmp_path: Path) -> None:
    read = json.loads(write_json(report, tmp_path / "new").read_bytes())
    verified = read["verified"]

    assert verified["strategy"] == "cheap_model"
    assert verified["provisional_wrong"] >= verified["wrong_final"]
    settled = verified["final"] + verified["corrected"] + verified["void"]
    assert settled == verified["committed"] > 50
    assert verified["banned"] > read["honest_banned"] == 0
    assert read["wrong_accept_final"] <= read["wrong_accept_upper95"] < 1
    assert 1 < read["replication"] <= read["replication_with_shadows"] < 3
    runs = sum(
        count for role in ("audit", "canary", "reference") for count in verified["checks"].get(role, {}).values()
    )
    lost = sum(outcomes.get("lost", 0) for outcomes in verified["checks"].values())
    assert read["replication"] == pytest.approx(1 + (runs - lost) / verified["committed"], abs=0.01)
    assert sum(one["tiers"]["banned"] for one in read["trust_over_time"]) > 0


def test_a_value_may_be_set_from_outside_and_the_line_says_so(path: Path) -> None:
    overrides = ["seconds=4", "adversary.strategy=lazy", "adversary.fraction_ppm=0"]

    changed = run_scenario(
        path, seed=4, overrides=overrides, instruments=INSTRUMENTS, listen=lambda _stage, _done, _total: None
    )

    assert changed.verified.strategy is None
    assert changed.command.endswith(
        "--seed 4 --set seconds=4 --set adversary.strategy=lazy --set adversary.fraction_ppm=0"
    )
    assert changed.simulated_s < 20


def test_a_miss_is_said_as_a_miss() -> None:
    missed, met = weigh(4_000, within=0.9998, lower=0.9997, extra=0.0999)

    assert not missed.is_met
    assert missed.measured.startswith("99.9800%")
    assert met.is_met


def test_a_terminal_is_told_of_misses_and_of_simulated_nodes(report: Report) -> None:
    lines = "\n".join(summary(report))

    assert "60 simulated nodes" in lines
    assert lines.count("MISSED") == sum(not one.is_met for one in report.targets)


def test_the_page_needs_nothing_else(report: Report) -> None:
    page = render_page(report)

    assert page.count("<svg") == 7
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', re.sub(r'xlink:href="#[^"]*"', "", page))
    assert "Every node here is simulated." in page
    assert report.trace_digest in page
    assert "--seed 4" in page


@pytest.mark.parametrize(
    ("misses", "tasks", "lower"),
    [(0, 10_000, 0.9997), (3, 100_000, 0.99992), (1_000, 100_000, 0.98945), (0, 0, 0.0), (5, 5, 0.0)],
)
def test_the_bound_is_what_tables_say(misses: int, tasks: int, lower: float) -> None:
    assert within_lower95(misses, tasks) == pytest.approx(lower, abs=2e-5)


def test_a_failed_check_says_with_which_line_to_repeat_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Placement, "end", says_it_twice(Placement.end))

    with pytest.raises(SimulationFailed, match="a check failed") as failed:
        run_scenario(path, seed=3, instruments=INSTRUMENTS, listen=lambda _stage, _done, _total: None)

    assert failed.value.command == f"gridlight simulate {path} --seed 3"
