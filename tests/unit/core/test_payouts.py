"""Payouts on the chain: what a look decides, what halts a channel, and what goes on by itself."""

import pytest
from tests.unit.core.payout_world import FEE, PARAMETERS, World, found, line

from gridlight.core.payout_channels import LOOK_AGAIN_MS, LOOK_AGAIN_MS_MAX
from gridlight.core.payouts import SEALS_MAX
from gridlight.messages.payouts import (
    Answer,
    BatchState,
    ChannelResumed,
    ChannelUnseen,
    HaltReason,
    HoldLines,
    LookAtChannel,
    OutsideEffect,
    PayFee,
    PayLines,
    PayoutParameters,
    RefuseAddress,
    ReleaseLines,
    SealBatch,
    SubmissionAnswered,
    SubmitBatch,
    TimeCame,
)


def answered(world: World, answer: Answer, code: str = "") -> None:
    world.tell(SubmissionAnswered(channel="A", answer=answer, code=code))


def test_a_line_is_sealed_then_submitted_then_paid_when_it_is_found() -> None:
    world = World()
    batch = world.sealed(line("ann"), line("ben", 2_000))
    assert world.all_of(SealBatch) == [SealBatch(batch=batch)]
    assert world.one(HoldLines).batch.units == 3_000
    assert (batch.sequence, batch.seal, batch.state) == (8, 1, BatchState.SEALED)
    assert not [one for one in world.said if isinstance(one, OutsideEffect)], (
        "nothing goes out before the seal is durable"
    )
    world.look()
    assert world.one(SubmitBatch).batch.state is BatchState.SUBMITTED
    waits_until = world.core.due_ms
    assert waits_until is None
    answered(world, Answer.ACCEPTED)
    assert world.core.due_ms == world.now_s * 1_000
    world.sequence = 8
    world.look(found(batch))
    assert world.one(PayLines).batch.hash == "hash-8-1"
    assert world.one(PayLines).fee_units == FEE
    assert world.core.open_batches == ()
    assert world.channel().sequence == 8
    assert not world.core.is_idle
    world.look()
    assert world.core.is_idle


def test_the_same_batch_is_submitted_again_after_a_restart() -> None:
    world = World()
    batch = world.submitted(line("ann"))
    world.restart()
    world.look()
    assert world.said == [SubmitBatch(batch=batch)]


def test_nothing_seen_is_looked_for_again_ever_more_slowly() -> None:
    world = World()
    waits = []
    for _ in range(6):
        assert world.wake() == [LookAtChannel(channel="A")]
        world.tell(ChannelUnseen(channel="A"))
        waits.append((world.core.due_ms or 0) - world.now_s * 1_000)
    assert waits == [LOOK_AGAIN_MS << n for n in range(4)] + [LOOK_AGAIN_MS_MAX] * 2
    assert world.tell(TimeCame()) == []


def test_a_batch_expires_only_by_a_closed_ledger_and_keeps_its_number() -> None:
    world = World()
    batch = world.submitted(line("ann"))
    answered(world, Answer.UNKNOWN)
    world.now_s = batch.max_time_s - 60
    world.look()
    assert world.said == [SubmitBatch(batch=batch)], "a ledger that closed at its last second can still have it"
    answered(world, Answer.UNKNOWN)
    world.look(seconds=61)
    again = world.one(SealBatch).batch
    assert (again.sequence, again.seal, again.lines) == (8, 2, batch.lines)
    assert again.max_time_s > batch.max_time_s
    assert "expired" in world.actions()


def test_an_expired_batch_whose_number_is_used_is_not_sealed_again() -> None:
    world = World()
    batch = world.submitted(line("ann"))
    answered(world, Answer.UNKNOWN)
    world.look(sequence=8, seconds=700)
    assert world.all_of(SealBatch) == []
    assert world.channel().halted is HaltReason.FOREIGN_USE
    world.look(sequence=8)
    assert world.said == [], "it halts once"
    world.look(found(batch), sequence=8)
    assert world.one(PayLines).batch.lines == batch.lines
    assert world.channel().halted is None, "a hash that is found after all ends the halt"


def test_a_halted_channel_submits_nothing_even_where_the_number_is_free() -> None:
    world = World()
    batch = world.submitted(line("ann"))
    answered(world, Answer.REFUSED, "tx_bad_auth")
    assert world.channel().halted is HaltReason.REFUSED
    assert world.look() == []
    assert world.core.is_idle
    world.tell(ChannelResumed(channel="A"))
    assert world.channel().halted is None
    world.look(seconds=0)
    assert world.said == [SubmitBatch(batch=batch)]


def test_what_is_on_the_way_is_not_doubled_by_a_resumption() -> None:
    world = World()
    world.submitted(line("ann"))
    world.tell(ChannelResumed(channel="A"))
    assert world.core.due_ms is None
    assert world.wake() == []


def test_a_batch_is_given_up_only_by_whoever_looked_and_only_once_expired() -> None:
    world = World()
    world.submitted(line("ann"))
    answered(world, Answer.UNKNOWN)
    world.look(sequence=8)
    world.tell(ChannelResumed(channel="A", is_given_up=True))
    world.look(sequence=8, seconds=0)
    assert world.all_of(ReleaseLines) == []
    assert world.channel().halted is HaltReason.FOREIGN_USE
    world.tell(ChannelResumed(channel="A", is_given_up=True))
    world.look(sequence=9, seconds=700)
    assert world.one(ReleaseLines).lines == (line("ann"),)
    assert world.batch is not None
    assert (world.batch.state, world.batch.reason) == (BatchState.FAILED, "given_up")
    assert (world.channel().sequence, world.channel().is_given_up) == (9, False)


def test_a_foreign_transaction_halts_an_idle_channel_until_somebody_looked() -> None:
    world = World()
    world.look()
    world.due(line("ann"))
    world.look()
    world.look(found(world.open_batch()), sequence=8)
    world.look(sequence=12)
    assert world.channel().halted is HaltReason.FOREIGN_USE
    world.due(line("ben"))
    assert world.look(sequence=12) == []
    world.tell(ChannelResumed(channel="A"))
    world.due(line("ben"))
    world.look(sequence=12, seconds=0)
    assert world.open_batch().sequence == 13


def test_an_account_that_lags_behind_is_waited_for() -> None:
    world = World()
    world.sealed(line("ann"))
    world.look(found(world.open_batch()), sequence=8)
    world.due(line("ben"))
    world.look(sequence=7)
    assert world.core.open_batches == ()
    world.look(sequence=8)
    assert world.open_batch().sequence == 9


def test_nothing_is_sealed_at_a_fee_above_the_most() -> None:
    world = World()
    world.due(line("ann", 10**9))
    world.look(base_fee=PARAMETERS.fee_units_max + 1)
    assert world.core.open_batches == ()


def test_a_failed_transactions_named_lines_are_dropped_and_the_rest_has_the_next_number() -> None:
    world = World()
    batch = world.submitted(line("ann"), line("ben"), line("carl"))
    answered(world, Answer.ACCEPTED)
    world.look(found(batch, "op_success", "op_no_destination", "op_success"), sequence=8)
    assert world.one(RefuseAddress) == RefuseAddress(operator="ben", destination="to-ben", reason="op_no_destination")
    assert world.one(ReleaseLines).lines == (line("ben"),)
    assert world.one(PayFee).units == FEE
    again = world.open_batch()
    assert (again.sequence, again.seal, again.lines) == (9, 2, (line("ann"), line("carl")))
    assert world.channel().sequence == 8


def test_the_rest_is_given_back_where_the_next_number_is_used_already() -> None:
    world = World()
    batch = world.submitted(line("ann"), line("ben"))
    answered(world, Answer.ACCEPTED)
    world.look(found(batch, "op_success", "op_line_full"), sequence=9)
    assert world.one(ReleaseLines).lines == batch.lines
    assert world.core.open_batches == ()
    world.look(sequence=9)
    assert world.channel().halted is HaltReason.FOREIGN_USE


def test_where_every_line_is_dropped_the_batch_has_failed() -> None:
    world = World()
    batch = world.submitted(line("ann"))
    answered(world, Answer.ACCEPTED)
    world.look(found(batch, "op_no_trust"), sequence=8)
    assert world.one(ReleaseLines).lines == batch.lines
    assert world.batch is not None
    assert world.batch.reason == "op_no_trust"
    assert world.channel().halted is None


@pytest.mark.parametrize(
    ("codes", "code", "reason"),
    [
        (("op_underfunded", "op_success"), "tx_failed", "op_underfunded"),
        (("op_underfunded", "op_no_destination"), "tx_failed", "op_underfunded"),
        ((), "tx_bad_auth_extra", "tx_bad_auth_extra"),
        (("op_success", "op_success"), "tx_failed", "tx_failed"),
    ],
)
def test_our_own_fault_gives_all_back_and_halts(codes: tuple[str, ...], code: str, reason: str) -> None:
    world = World()
    batch = world.submitted(line("ann"), line("ben"))
    answered(world, Answer.ACCEPTED)
    world.look(found(batch, *codes, code=code), sequence=8)
    assert world.one(ReleaseLines).lines == batch.lines
    assert world.channel().halted is HaltReason.OUR_FAULT
    assert world.batch is not None
    assert world.batch.reason == reason
    refused = [effect.operator for effect in world.all_of(RefuseAddress)]
    assert refused == (["ben"] if "op_no_destination" in codes else [])


def test_a_fee_that_is_too_low_is_doubled_up_to_the_most() -> None:
    world = World(PayoutParameters(threshold_fees=1, fee_units_max=300))
    world.submitted(line("ann"))
    bids = []
    for _ in range(3):
        answered(world, Answer.REFUSED, "tx_insufficient_fee")
        bids.append(world.open_batch().bump_units)
        world.look()
    assert bids == [200, 300, 300]
    answered(world, Answer.UNKNOWN)
    world.look(seconds=700)
    assert (world.open_batch().fee_units, world.open_batch().bump_units) == (300, 0)


def test_a_refusal_that_time_mends_is_tried_again() -> None:
    world = World()
    batch = world.submitted(line("ann"))
    answered(world, Answer.REFUSED, "tx_bad_seq")
    assert world.actions() == ["refused"]
    world.look()
    assert world.said == [SubmitBatch(batch=batch)]


def test_what_expires_again_and_again_halts() -> None:
    world = World()
    world.sealed(line("ann"))
    for _ in range(SEALS_MAX - 1):
        world.look(seconds=700)
    assert world.open_batch().seal == SEALS_MAX
    world.look(seconds=700)
    assert world.channel().halted is HaltReason.SEALED_TOO_OFTEN
    world.look(found(world.open_batch()), sequence=8)
    assert world.one(PayLines).batch.units == 1_000
    assert world.channel().halted is None


def test_a_halted_channel_whose_batch_failed_halts_no_more() -> None:
    world = World()
    batch = world.submitted(line("ann"), line("ben"))
    answered(world, Answer.UNKNOWN)
    world.look(sequence=8)
    assert world.channel().halted is HaltReason.FOREIGN_USE
    world.look(found(batch, "op_success", "op_no_destination"), sequence=8)
    assert world.channel().halted is None
    assert world.open_batch().lines == (line("ann"),)
