"""What requesters and nodes are told of money before it moves: prices, and what is held back of earnings."""

import pytest
from tests.unit.core.audits import checked_world
from tests.unit.core.paying import priced
from tests.unit.core.test_money import earn
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD

from gridlight.core.bookkeeping import Bookkeeping
from gridlight.core.earnings import DAY_MS, HOUR_MS, Earnings
from gridlight.core.ledger import Ledger
from gridlight.messages.funds import HeldBack, NodeHeldBack
from gridlight.messages.ledger import MoneyParameters, req_escrow
from gridlight.messages.trust import Assurance

MONEY = MoneyParameters(hold_tasks=2)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def earnings(ledger: Ledger) -> Earnings:
    earnings = Earnings(ledger, MONEY)
    earnings.know("node-1", "ben")
    return earnings


def test_a_price_is_told_before_anything_is_held() -> None:
    world = priced(checked_world())
    books = world.coordinator.bookkeeping
    assert books.price(WORKLOAD, Assurance.AUDITED) == 2_150
    assert (books.price(OTHER_WORKLOAD, Assurance.AUDITED), Bookkeeping().price(WORKLOAD, Assurance.NONE)) == (0, 0)
    assert books.ledger.balance(req_escrow("anna")) == 0


def test_a_node_is_told_what_is_held_back_and_until_when(ledger: Ledger, earnings: Earnings) -> None:
    for at_ms in (0, 2 * DAY_MS, 2 * DAY_MS + 1):
        earn(ledger, earnings, at_ms)
    earnings.dispute("node-1", 1)

    told = earnings.held_back("node-1", 0, 0)

    first = HeldBack(amount=100, vests_ms=MONEY.hold_ms, tasks_missing=0)
    newest = HeldBack(amount=200, vests_ms=2 * DAY_MS + MONEY.hold_ms + HOUR_MS, tasks_missing=2)
    assert told == NodeHeldBack(operator="ben", days=(first, newest), is_trusted=False, disputes=1)
    assert earnings.held_back("node-2", 0, 0) is None


def test_what_the_open_sheet_has_is_not_told_yet(ledger: Ledger, earnings: Earnings) -> None:
    for at_ms in (0, 2 * DAY_MS, 2 * DAY_MS):
        earn(ledger, earnings, at_ms)

    one_less, two_less, none = (earnings.held_back("node-1", runs, runs * 100) for runs in (1, 2, 3))

    assert one_less is not None
    assert two_less is not None
    assert none is not None
    assert [(day.amount, day.tasks_missing) for day in one_less.days] == [(100, 1), (100, 2)]
    assert [(day.amount, day.tasks_missing) for day in two_less.days] == [(100, 2)]
    assert none.days == ()
