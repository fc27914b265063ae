"""Who is paid next: the threshold, the day's cap, the money for fees; and what each effect does to the books."""

import msgspec
import pytest
from tests.unit.core.payout_world import FEE, World, found, line

from gridlight.core.payout_postings import entry_of
from gridlight.messages.ledger import EXT_CHAIN, NET_CHAINFEE, Posting, op_avail, op_inflight
from gridlight.messages.payouts import (
    LINES_MAX,
    HoldLines,
    PayFee,
    PayLines,
    PayoutParameters,
    PayoutsDue,
    ReleaseLines,
)

DAY_S = 86_400


def operators(world: World) -> list[str]:
    return [one.operator for batch in world.core.open_batches for one in batch.lines]


@pytest.mark.parametrize(
    ("parameters", "least"),
    [(PayoutParameters(threshold_units=500, threshold_fees=1), 500), (PayoutParameters(threshold_fees=7), 7 * FEE)],
)
def test_nobody_is_paid_below_the_threshold(parameters: PayoutParameters, least: int) -> None:
    world = World(parameters)
    world.due(line("below", least - 1), line("at", least))
    world.look()
    assert operators(world) == ["at"]


def test_nobody_is_paid_less_than_they_want_at_once() -> None:
    world = World(PayoutParameters(threshold_units=500, threshold_fees=1))
    wanted = {"below": 1_001, "at": 1_000, "low": 1}
    lines = [msgspec.structs.replace(line(name), least_units=least) for name, least in wanted.items()]
    world.due(*lines, msgspec.structs.replace(line("lower", 499), least_units=1))
    world.look()
    assert operators(world) == ["at", "low"]


def test_a_transaction_holds_a_hundred_lines() -> None:
    world = World()
    world.due(*(line(f"op{number}") for number in range(LINES_MAX + 3)))
    world.look()
    assert len(operators(world)) == LINES_MAX
    world.look(found(world.open_batch()), sequence=8)
    world.sequence = 8
    world.look()
    assert operators(world) == [f"op{number}" for number in range(LINES_MAX, LINES_MAX + 3)]


def test_no_more_lines_than_there_are_fees_for() -> None:
    world = World()
    world.due(*(line(f"op{number}") for number in range(5)), fees_units=4 * FEE * 2 + 1)
    world.look()
    assert operators(world) == ["op0", "op1"]


def test_the_days_cap_is_kept_across_batches_and_ends_with_the_day() -> None:
    world = World(PayoutParameters(daily_cap_units=2_500, threshold_fees=1))
    owed = (line("ann"), line("ben"), line("carl"), line("dora", 500))
    world.due(*owed)
    world.look()
    assert operators(world) == ["ann", "ben", "dora"]
    world.sequence = 8
    world.look(found(world.open_batch()))
    world.due(line("carl"))
    world.look()
    assert operators(world) == []
    world.due(line("carl"))
    world.look(seconds=DAY_S)
    assert operators(world) == ["carl"]


def test_a_cap_that_was_drawn_before_a_restart_counts() -> None:
    world = World(PayoutParameters(daily_cap_units=1_500, threshold_fees=1))
    day = world.now_s // DAY_S
    world.core.restore([world.record], [], day=day, drawn_units=1_000)
    world.due(line("ann"), line("ben", 500))
    world.look()
    assert operators(world) == ["ben"]


def test_a_batch_carries_the_books_root() -> None:
    world = World()
    world.tell(PayoutsDue(lines=(line("ann"),), fees_units=10**6, root="ab" * 32))
    world.look()
    assert world.open_batch().root == "ab" * 32


def test_a_channel_that_waits_for_an_answer_is_not_woken_by_what_is_due() -> None:
    world = World()
    world.wake()
    world.due(line("ann"))
    assert world.core.due_ms is None
    assert world.wake() == []


def test_what_each_effect_posts() -> None:
    world = World()
    batch = world.sealed(line("ann"))
    held = entry_of(HoldLines(batch=batch))
    assert held is not None
    assert (held.key, set(held.postings)) == (
        "seal:A:1",
        {Posting(op_avail("ann"), -1_000), Posting(op_inflight("ann"), 1_000)},
    )
    world.look(found(batch), sequence=8)
    paid = entry_of(world.one(PayLines))
    assert paid is not None
    assert (paid.key, set(paid.postings)) == (
        "confirm:hash-8-1",
        {Posting(op_inflight("ann"), -1_000), Posting(NET_CHAINFEE, -FEE), Posting(EXT_CHAIN, 1_000 + FEE)},
    )
    fee = entry_of(PayFee(hash="cd", units=FEE))
    assert fee is not None
    assert (fee.key, set(fee.postings)) == ("confirm:cd", {Posting(NET_CHAINFEE, -FEE), Posting(EXT_CHAIN, FEE)})
    assert entry_of(PayFee(hash="cd", units=0)) is None
    back = entry_of(ReleaseLines(batch_id="A:1", seal=2, lines=(line("ann"),)))
    assert back is not None
    assert (back.key, set(back.postings)) == (
        "fail:A:1:2",
        {Posting(op_inflight("ann"), -1_000), Posting(op_avail("ann"), 1_000)},
    )
    assert entry_of(ReleaseLines(batch_id="A:1", seal=2, lines=())) is None
