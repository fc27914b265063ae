"""Payouts against a chain that may accept, drop, delay, and deny what it holds, with the payer killed at any step."""

from collections import Counter
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct

from gridlight.core.ledger import Ledger
from gridlight.core.payout_postings import entry_of
from gridlight.core.payouts import Payouts
from gridlight.messages.ledger import EXT_CHAIN, NET_CHAINFEE, Posting, op_avail, op_inflight
from gridlight.messages.payouts import (
    Answer,
    BatchState,
    ChannelRecord,
    ChannelSeen,
    ChannelUnseen,
    HoldLines,
    LookAtChannel,
    OutsideEffect,
    PayFee,
    PayLines,
    PayoutBatch,
    PayoutEffect,
    PayoutEvent,
    PayoutLine,
    PayoutParameters,
    PayoutsDue,
    RecordBatch,
    RecordChannel,
    RefuseAddress,
    ReleaseLines,
    SealBatch,
    SubmissionAnswered,
    SubmitBatch,
    TimeCame,
    TransactionFound,
)

PARAMETERS = PayoutParameters(daily_cap_units=10**7, threshold_fees=1)
CHANNELS = ("A", "B")
FEE = 100


T = TypeVar("T")


class Sent(Struct, frozen=True):
    """A transaction as the chain sees it; equal where its bytes would be."""

    channel: str
    sequence: int
    max_time_s: int
    lines: tuple[PayoutLine, ...]


class Applied(Struct):
    """Where it stands in a ledger."""

    is_successful: bool
    codes: tuple[str, ...]


def sent(batch: PayoutBatch) -> Sent:
    """What a batch is built to."""
    return Sent(batch.channel, batch.sequence, batch.max_time_s, batch.lines)


class PayoutSchedules(RuleBasedStateMachine):
    """Every order of the world's doings that Hypothesis thinks of."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 86_400 * 20_000
        self.sequences = dict.fromkeys(CHANNELS, 7)
        self.pending: list[Sent] = []
        self.applied: dict[Sent, Applied] = {}
        self.gone: set[str] = set()
        self.paid: Counter[str] = Counter()
        self.owed: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.ledger = Ledger()
        self.ledger.post("fees", [Posting(EXT_CHAIN, -(10**9)), Posting(NET_CHAINFEE, 10**9)])
        self.channels = {name: ChannelRecord(account=name) for name in CHANNELS}
        self.batches: dict[str, PayoutBatch] = {}
        self.sealed: dict[tuple[str, int], list[tuple[int, Sent]]] = {}
        self.start()

    def start(self) -> None:
        """A new process goes on from what is durable."""
        self.core = Payouts(PARAMETERS)
        open_batches = [batch for batch in self.batches.values() if batch.is_open]
        day = max((batch.day for batch in self.batches.values()), default=0)
        drawn = sum(batch.drawn_units for batch in self.batches.values() if batch.day == day)
        self.core.restore(self.channels.values(), open_batches, day=day, drawn_units=drawn)
        self.outside: list[OutsideEffect] = []

    def tell(self, event: PayoutEvent) -> None:
        """What is durable is kept; the rest waits to be done, or for the crash."""
        for effect in self.core.handle(self.now_s * 1_000, event):
            self.keep(effect)
        self.core.check()

    def keep(self, effect: PayoutEffect) -> None:
        """One effect."""
        match effect:
            case SealBatch(batch=batch):
                earlier = self.sealed.setdefault((batch.channel, batch.sequence), [])
                # P61
                assert all(one.max_time_s < batch.closed_s <= self.now_s for _, one in earlier)
                earlier.append((batch.closed_s, sent(batch)))
                self.batches[batch.batch_id] = batch
            case RecordBatch(batch=batch):
                self.batches[batch.batch_id] = batch
            case RecordChannel(channel=channel):
                self.channels[channel.account] = channel
            case HoldLines() | PayLines() | PayFee() | ReleaseLines():
                if (draft := entry_of(effect)) is not None:
                    self.ledger.post(draft.key, draft.postings)
            case RefuseAddress(operator=operator):
                self.refused.add(operator)
            case LookAtChannel() | SubmitBatch():
                self.outside.append(effect)

    def asked(self, kind: type[T]) -> list[T]:
        """What is to be done outside, of this kind."""
        return [effect for effect in self.outside if isinstance(effect, kind)]

    @initialize()
    def begin(self) -> None:
        """So that most steps can do what they are there for."""
        for operator in range(4):
            self.earn(operator, 1_000)
        self.go_on()

    @rule()
    def go_on(self) -> None:
        """Ledgers close and are looked at, so that what waits for that is sealed and sent."""
        self.refill()
        for _ in range(2):
            self.close_ledger(5)
            while self.asked(LookAtChannel):
                self.look(0, "truly")

    @rule(operator=st.integers(0, 5), units=st.integers(1, 10_000))
    def earn(self, operator: int, units: int) -> None:
        name = f"OP{operator}"
        self.owed[name] += units
        key = f"earned:{name}:{self.owed[name]}"
        self.ledger.post(key, [Posting(EXT_CHAIN, -units), Posting(op_avail(name), units)])

    @rule()
    def refill(self) -> None:
        lines = [
            PayoutLine(operator=name, destination=name, units=self.ledger.balance(op_avail(name)))
            for name in sorted(self.owed)
            if self.ledger.balance(op_avail(name)) and name not in self.refused
        ]
        self.tell(PayoutsDue(lines=tuple(lines), fees_units=self.ledger.balance(NET_CHAINFEE)))

    @rule(operator=st.integers(0, 5))
    def close_account(self, operator: int) -> None:
        self.gone.add(f"OP{operator}")

    @rule(seconds=st.sampled_from([5, 60, 700]))
    def close_ledger(self, seconds: int) -> None:
        self.now_s += seconds
        self.tell(TimeCame())

    @precondition(lambda self: self.pending)
    @rule(place=st.integers(0, 5))
    def apply(self, place: int) -> None:
        """A transaction that was accepted long ago comes into a ledger, if it still can."""
        one = self.pending.pop(place % len(self.pending))
        if self.sequences[one.channel] != one.sequence - 1 or one.max_time_s < self.now_s:
            return
        self.sequences[one.channel] = one.sequence
        codes = tuple("op_no_destination" if line.operator in self.gone else "op_success" for line in one.lines)
        is_paid = all(code == "op_success" for code in codes)
        self.applied[one] = Applied(is_paid, codes)
        for line in one.lines if is_paid else ():
            self.paid[line.operator] += line.units

    @precondition(lambda self: self.asked(LookAtChannel))
    @rule(place=st.integers(0, 1), how=st.sampled_from(["truly", "lies", "stale", "both", "fails"]))
    def look(self, place: int, how: str) -> None:
        looks = self.asked(LookAtChannel)
        effect = looks[place % len(looks)]
        self.outside.remove(effect)
        if how == "fails":
            self.tell(ChannelUnseen(channel=effect.channel))
            return
        self.tell(self.seen(effect.channel, lies=how in ("lies", "both"), stale=how in ("stale", "both")))

    def seen(self, channel: str, *, lies: bool, stale: bool) -> ChannelSeen:
        """What the chain says, or what it should not."""
        found = None
        for batch in self.batches.values():
            if batch.is_open and batch.channel == channel and not lies:
                for _, one in self.sealed[channel, batch.sequence]:
                    if one in self.applied:
                        result = self.applied[one]
                        found = TransactionFound(
                            hash=f"{channel}-{one.sequence}-{one.max_time_s}",
                            ledger=1,
                            is_successful=result.is_successful,
                            fee_units=FEE,
                            code="" if result.is_successful else "tx_failed",
                            codes=result.codes,
                        )
        sequence = self.sequences[channel] - (stale and self.sequences[channel] > 7)
        return ChannelSeen(channel=channel, closed_s=self.now_s, base_fee_units=FEE, sequence=sequence, found=found)

    @precondition(lambda self: self.asked(SubmitBatch))
    @rule(place=st.integers(0, 1), how=st.sampled_from(["accept", "delay", "lose", "twice", "low_fee"]))
    def submit(self, place: int, how: str) -> None:
        submits = self.asked(SubmitBatch)
        effect = submits[place % len(submits)]
        self.outside.remove(effect)
        batch = effect.batch
        assert self.batches[batch.batch_id] == batch, "what is submitted is durable"
        if how not in ("lose", "low_fee") and sent(batch) not in self.applied:
            self.pending += [sent(batch)] * (2 if how == "twice" else 1)
        if how == "accept" and self.pending:
            self.apply(len(self.pending) - 1)
        code = "tx_insufficient_fee" if how == "low_fee" else ""
        answers = {"accept": Answer.ACCEPTED, "twice": Answer.ACCEPTED, "low_fee": Answer.REFUSED}
        self.tell(SubmissionAnswered(channel=batch.channel, answer=answers.get(how, Answer.UNKNOWN), code=code))

    @precondition(lambda self: self.asked(SubmitBatch))
    @rule(how=st.sampled_from(["lies", "stale", "both"]))
    def lose_sight(self, how: str) -> None:
        """It is in a ledger, and once its time is over the chain denies it."""
        channel = self.asked(SubmitBatch)[0].batch.channel
        self.submit(0, "accept")
        self.close_ledger(700)
        for place, effect in enumerate(self.asked(LookAtChannel)):
            if effect.channel == channel:
                self.look(place, how)

    @rule()
    def crash(self) -> None:
        self.start()

    @invariant()
    def p62_what_is_in_flight_is_what_open_batches_hold(self) -> None:
        held = Counter[str]()
        for batch in self.batches.values():
            if batch.is_open:
                held.update({line.operator: line.units for line in batch.lines})
        assert all(self.ledger.balance(op_inflight(name)) == held[name] for name in self.owed)
        self.ledger.check()
        days = Counter[int]()
        for batch in self.batches.values():
            days[batch.day] += batch.drawn_units
        assert all(drawn <= PARAMETERS.daily_cap_units for drawn in days.values())

    def teardown(self) -> None:
        """P60: the world behaves at last; then each line was paid exactly once, or is back."""
        for _ in range(200):
            self.close_ledger(60)
            while self.outside:
                if self.asked(LookAtChannel):
                    self.look(0, "truly")
                if self.asked(SubmitBatch):
                    self.submit(0, "accept")
            if not any(batch.is_open for batch in self.batches.values()):
                break
        assert not any(batch.is_open for batch in self.batches.values())
        for name, units in self.owed.items():
            assert self.paid[name] + self.ledger.balance(op_avail(name)) == units
            confirmed = sum(
                line.units
                for batch in self.batches.values()
                if batch.state is BatchState.CONFIRMED
                for line in batch.lines
                if line.operator == name
            )
            assert confirmed == self.paid[name]
        assert all(channel.halted is None for channel in self.channels.values())


TestP60P61P62 = PayoutSchedules.TestCase
TestP60P61P62.settings = settings(max_examples=50, stateful_step_count=50)
