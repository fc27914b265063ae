"""Payouts through Pi's platform: announced, paid alone with the identifier as memo, and closed there."""

import pytest
from tests.unit.core.payout_world import PARAMETERS, World, found, line

from gridlight.core.payouts import Payouts
from gridlight.messages.payouts import (
    AnnouncePayment,
    BatchState,
    ChannelRecord,
    ChannelUnseen,
    ClosePayment,
    PaymentAnnounced,
    PaymentClosed,
    PaymentNotAnnounced,
    Rail,
    RefuseAddress,
    SealBatch,
)

ANN, BEN = line("ann", rail=Rail.PI), line("ben", rail=Rail.PI)


def announcing() -> World:
    world = World(rail=Rail.PI)
    world.due(ANN, BEN)
    world.look()
    assert world.one(AnnouncePayment).line == ANN
    return world


def announced() -> World:
    world = announcing()
    world.tell(PaymentAnnounced(channel="A", identifier="pay-1", destination="G-ann"))
    return world


def paid() -> World:
    world = announced()
    world.look()
    world.look(found(world.open_batch()), sequence=8)
    world.sequence = 8
    return world


def test_a_payment_is_sealed_alone_with_its_identifier_and_where_the_platform_says() -> None:
    world = announced()
    assert not world.all_of(SealBatch)
    assert not world.core.is_idle
    world.look()
    batch = world.one(SealBatch).batch
    assert (batch.memo, batch.root, batch.is_closed) == ("pay-1", "", False)
    assert [(one.operator, one.destination) for one in batch.lines] == [("ann", "G-ann")]


def test_whoever_is_announced_is_not_paid_once_more_by_what_is_due() -> None:
    world = announcing()
    world.due(ANN, BEN)
    world.tell(PaymentAnnounced(channel="A", identifier="pay-1", destination="G-ann"))
    world.look()
    world.look(found(world.open_batch()), sequence=8)
    world.sequence = 8
    world.wake()
    world.tell(PaymentClosed(channel="A"))
    world.look()
    assert world.one(AnnouncePayment).line == BEN


def test_who_is_announced_is_under_way_until_the_line_is_sealed() -> None:
    world = announced()
    assert world.core.announced == {"ann"}
    world.look()
    assert world.core.announced == set()


def test_whom_a_payment_of_the_platform_did_not_reach_is_refused_by_name_and_not_by_address() -> None:
    world = announced()
    world.look()
    world.look(found(world.open_batch(), "op_no_destination"), sequence=8)
    refused = world.one(RefuseAddress)
    assert (refused.operator, refused.destination, refused.rail) == ("ann", "G-ann", Rail.PI)


def test_the_platform_is_told_the_hash_until_it_hears() -> None:
    world = paid()
    close = ClosePayment(channel="A", identifier="pay-1", hash="hash-8-1")
    assert world.wake() == [close]
    world.tell(ChannelUnseen(channel="A"))
    world.restart()
    assert world.wake() == [close]
    world.tell(PaymentClosed(channel="A"))
    assert world.core.open_batches == ()
    assert world.batch is not None
    assert world.batch.is_closed


def test_a_failed_payment_is_cancelled() -> None:
    world = announced()
    world.look()
    world.look(found(world.open_batch(), "op_no_destination"), sequence=8)
    assert world.batch is not None
    assert world.batch.state is BatchState.FAILED
    assert world.wake() == [ClosePayment(channel="A", identifier="pay-1", hash="")]


def test_what_the_platform_does_not_take_waits_and_leaves_the_days_cap() -> None:
    world = announcing()
    world.tell(PaymentNotAnnounced(channel="A", reason="ongoing_payment_found"))
    assert world.actions() == ["not_announced"]
    assert world.core.open_batches == ()
    world.look()
    assert world.one(AnnouncePayment).line == BEN


def test_two_open_batches_of_one_channel_are_refused() -> None:
    world = announced()
    world.look()
    batch = world.open_batch()
    with pytest.raises(AssertionError, match="two open batches"):
        Payouts(PARAMETERS).restore([ChannelRecord(account="A")], [batch, batch], day=0, drawn_units=0)
