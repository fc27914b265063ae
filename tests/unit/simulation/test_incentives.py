"""What nodes earn for their CPU time is counted by machine, with bounds, and the books are held to their word."""

from math import inf

import pytest
from msgspec.structs import replace

from gridlight.messages.ledger import EXT_CHAIN, GENESIS, Entry, Posting, RecordEntry, entry_hash
from gridlight.simulation.answers import colluded, copied, empty, right
from gridlight.simulation.demands import CheckFailed
from gridlight.simulation.incentives import Earner, earned_per_cpu_s, said, student_95, weigh_earners
from gridlight.simulation.labour import Labour
from gridlight.simulation.population import Population
from gridlight.simulation.scenario import Money, Nodes
from gridlight.simulation.takings import Takings

REWARD = 1_000_000
SECOND = 1_000_000
GOOD = [Earner(10 * REWARD + noise, SECOND) for noise in (-9_000, 0, 9_000)]


def entry(seq: int, key: str, *postings: Posting, prev_hash: str = GENESIS) -> RecordEntry:
    return RecordEntry(entry=Entry(seq, key, postings, prev_hash, entry_hash(seq, key, postings, prev_hash)))


@pytest.fixture
def takings() -> Takings:
    return Takings(Population(1, Nodes(count=4)))


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 3.182), (9, 2.262), (19, 2.093), (1_000, 1.962)])
def test_students_quantile_is_what_tables_say(freedom: int, quantile: float) -> None:
    assert student_95(freedom) == pytest.approx(quantile, rel=0.01)


def test_a_ratio_has_the_bound_of_its_machines() -> None:
    rate = earned_per_cpu_s([Earner(9 * REWARD, SECOND), Earner(11 * REWARD, SECOND)] * 8, REWARD)

    assert rate.figure == 10
    assert rate.upper95 - rate.figure == pytest.approx(2.131 / 15**0.5, rel=0.01)
    assert earned_per_cpu_s([Earner(REWARD, SECOND)], REWARD).upper95 == inf
    assert earned_per_cpu_s([], REWARD).figure == 0


@pytest.mark.parametrize(
    ("earned", "verdict"),
    [(8 * REWARD, "below honesty"), (10 * REWARD, "not told apart"), (12 * REWARD, "ABOVE honesty")],
)
def test_a_strategy_is_said_to_pay_where_it_does(earned: int, verdict: str) -> None:
    ill = [replace(one, earned=one.earned + earned - 10 * REWARD, runs=20, wrong=2) for one in GOOD]

    found = weigh_earners(Money(), ill, GOOD, entries=1, unpaid_checks=0)

    assert found.verdict == verdict
    assert found.lost_per_wrong == pytest.approx((10 * REWARD - earned) / REWARD / 2)
    assert verdict in said(found)


def test_without_ill_will_there_is_nothing_to_compare() -> None:
    found = weigh_earners(Money(), [], GOOD, entries=1, unpaid_checks=0)

    assert (found.ill, found.verdict) == (None, "no ill will")
    assert said(found).startswith("honest nodes earn 10.000")


def test_an_answer_costs_what_went_into_it() -> None:
    labour = Labour(4)
    labour.last = 7
    for node, answer in enumerate((right(7, 1), copied(right(7, 1)), empty(2), colluded(7, 1))):
        labour.answered(node, 100, 7, answer)
        labour.answered(node, 100, 8, answer)  # came too late to count
    labour.failed(0, 100, 7)
    labour.failed(0, 100, 8)

    assert list(labour.cpu_us) == [200_000, 2_000, 2_000, 100_000]
    assert list(labour.wrong) == [0, 0, 1, 1]
    assert list(labour.runs) == [2, 1, 1, 1]


MOVED = (Posting(EXT_CHAIN, -5), Posting("net:verify", 5))
FIRST = entry(1, "grant:a", *MOVED)


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("P1", entry(2, "grant:b", *MOVED, Posting("net:fee", 1), prev_hash=FIRST.entry.hash)),
        ("P2", entry(2, "checks:1", Posting("net:verify", -6), Posting("net:fee", 6), prev_hash=FIRST.entry.hash)),
        ("P3", entry(2, "grant:a", *MOVED, prev_hash=FIRST.entry.hash)),
        ("P4", entry(2, "grant:b", *MOVED, prev_hash=GENESIS)),
        ("P4", entry(3, "grant:b", *MOVED, prev_hash=FIRST.entry.hash)),
    ],
)
def test_books_that_do_not_hold_are_caught(takings: Takings, check: str, broken: RecordEntry) -> None:
    hear = takings.hears[RecordEntry]
    hear(FIRST)

    with pytest.raises(CheckFailed, match=check):
        hear(broken)
