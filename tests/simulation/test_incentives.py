"""With the ledger on a run's books hold, through crashes too, and lies do not pay."""

from msgspec.structs import replace
from tests.simulation.running import hostile, ran

from gridlight.messages.ledger import MoneyParameters
from gridlight.messages.trust import Verification
from gridlight.simulation.incentives import incentives_of
from gridlight.simulation.scenario import Checks, Demand, Faults, Money, Strategy

MONEY = Money(prices=MoneyParameters(hold_ms=10_000, hold_tasks=5))


def test_lies_do_not_pay_and_the_books_hold_through_a_crash() -> None:
    plain = hostile(Strategy.LAZY)
    scenario = replace(
        plain,
        demand=Demand(tasks_per_second=25, public_ppm=1_000_000),
        epoch_seconds=5,
        money=MONEY,
        faults=Faults(coordinator_crashes=1, crash_ms=500),
        checks=Checks(core_each=500, replay_each=500),
    )

    world = ran(scenario, 3)
    found = incentives_of(world)

    assert world.takings is not None
    assert found is not None
    assert found.ill is not None
    assert found.beside_honest is not None
    assert world.host.replays > 1
    assert found.ill.taken > 0
    assert found.honest.taken == 0
    assert found.verdict == "below honesty"
    assert found.unpaid_checks == 0
    vested = sum(
        amount for name, amount in world.takings.balances.items() if name.startswith("op:") and "avail" in name
    )
    assert vested > 0, "the hold-back was never let go of"
    assert world.truth.settled[Verification.FINAL] > 100


def test_a_run_without_money_has_no_books() -> None:
    world = ran(replace(hostile(), seconds=2, quiet_seconds=1), 1)

    assert incentives_of(world) is None
    assert world.host.core.bookkeeping.ledger.seq == 0
