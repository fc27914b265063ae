"""The simulator and the real network are one thing: a small scenario comes to the same, whichever way it is run."""

from collections import Counter
from pathlib import Path

from msgspec.structs import replace
from tests.acceptance.three_ways import findings_of, kept_and_folded, run_for_real, simulated

from gridlight.messages.trust import Assurance, CheckOutcome, Role
from gridlight.simulation.scenario import Attempts, Checks, Demand, Fleet, Nodes, Scenario

PHOTOS = ("astronaut.png", "bus.jpg", "cat.png", "coffee.png", "motorcycle.png", "zidane.jpg")
"""Something is found in each beyond doubt, as in simulated ones: to agree on nothing earns nothing."""

TRUSTED_AFTER = 8
SCENARIO = Scenario(
    description="Five nodes of the founder's, one of them for reference, and a requester who asks in peace.",
    seed=7,
    seconds=20,
    quiet_seconds=4,
    demand=Demand(
        tasks_per_second=1,
        deadline_ms=20_000,
        gateways=1,
        unassured_ppm=250_000,
        audited_ppm=250_000,
        arbitrated_ppm=200_000,
    ),
    nodes=Nodes(count=5, median_ms=60, median_spread_permille=0),
    fleet=Fleet(age_min=TRUSTED_AFTER, age_max=TRUSTED_AFTER, references=1),
    attempts=Attempts(ack_ms=10, ack_spread_permille=0, service_spread_permille=0, stall_ppm=0, vanish_ppm=0),
    checks=Checks(core_each=1, replay_each=50),
    trust={
        "profile": "laptop",
        "trusted_after": TRUSTED_AFTER,
        "audit_ppm_min": 1_000_000,
        "audit_delay_ms_max": 500,
        "reference_ppm": 0,
        "recheck_ppm": 0,
        "canary_ppm": 0,
        "shadow_ppm": 0,
    },
)
"""Draws say who does what and when, but not how often anything is done: whatever is assured is audited."""


def test_model_nodes_full_nodes_and_real_processes_come_to_the_same(photos: dict[str, Path], tmp_path: Path) -> None:
    model = simulated(SCENARIO)
    asked = list(model.asked().values())

    full = simulated(replace(SCENARIO, nodes=replace(SCENARIO.nodes, are_full=True)))
    real, as_read = run_for_real(SCENARIO, asked, [photos[name] for name in PHOTOS], tmp_path / "network")

    found = findings_of(model)
    assert model.dispatched() == model.decided(), "in peace nobody is late"
    assert findings_of(full) == found
    assert findings_of(real) == found
    assert as_read == found.ends
    assert list(real.asked().values()) == asked
    kept, folded = kept_and_folded(tmp_path / "network")
    assert kept == folded


def test_what_it_comes_to_is_what_was_paid_for() -> None:
    model = simulated(SCENARIO)
    asked, found = Counter(model.asked().values()), findings_of(model)

    assert asked.keys() == set(Assurance)
    committed = asked.total() - asked[Assurance.NONE]
    audits = committed + asked[Assurance.ARBITRATED]
    references = asked[Assurance.ARBITRATED]
    assert found.commits == found.audited == committed
    assert found.ends.checks == {
        (Role.AUDIT, CheckOutcome.MATCH): audits,
        (Role.REFERENCE, CheckOutcome.MATCH): references,
    }
    assert found.events["ResultSubmitted"] == asked.total() + audits + references
    assert found.ends.checks_passed == committed + audits
    assert found.ends.clean_runs == 4 * TRUSTED_AFTER + committed + audits
    assert found.open == {}
