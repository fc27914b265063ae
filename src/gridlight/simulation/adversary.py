"""Nodes of ill will: what each of them answers, by its strategy and by what it and its group have been sent.

They do not know what an assignment is for. They know their own standing, how much they have run, and every task that
one of them was sent; of canaries they know as many as the scenario says.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gridlight.simulation.answers import Answer, cheapened, colluded, copied, empty, faulty, right
from gridlight.simulation.distributions import MILLION
from gridlight.simulation.scenario import Adversary, Strategy

REMEMBERED_MAX: Final = 200_000
"""Tasks of which the group knows what one of them answered."""

_LANE: Final = 0xFFFF_FFFF


def happens(bits: int, ppm: int) -> bool:
    """Whether something that happens so many times in a million happens, by 32 bits."""
    return (bits & _LANE) * MILLION >> 32 < ppm


class Knowledge:
    """What an adversary can find out about itself, and about what it was sent."""

    def __init__(
        self,
        *,
        is_trusted: Callable[[int], bool],
        age: Callable[[int], int],
        is_canary: Callable[[int], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self.is_trusted = is_trusted
        self.age = age
        self.is_canary = is_canary
        self.now_ms = now_ms


class Adversaries:
    """The group, which shares all that it knows."""

    def __init__(self, plan: Adversary, knowledge: Knowledge, *, turns_ms: int) -> None:
        self._plan = plan
        self._knows = knowledge
        self._turns_ms = turns_ms
        self._said: OrderedDict[int, tuple[bool, int]] = OrderedDict()
        """By task, whether one of the group gave the wrong answer, or the right one; and the seed that it ran with."""
        self._copies: OrderedDict[int, int] = OrderedDict()
        """How often the group was sent a task; kept where the strategy asks for it."""

    def sent(self, number: int) -> None:
        """One of the group was given a task."""
        if self._plan.strategy is Strategy.DUPLICATE_AWARE:
            self._copies[number] = self._copies.pop(number, 0) + 1
            _bound(self._copies)

    def answer(self, node: int, number: int, probe_seed: int, bits: int) -> Answer:
        """What the node says of a task; 64 bits decide what is left to chance."""
        match self._plan.strategy:
            case Strategy.LAZY:
                return empty(node) if self._is_on(node, bits) else right(number, probe_seed)
            case Strategy.CHEAP_MODEL:
                return cheapened(number, probe_seed, node) if self._is_on(node, bits) else right(number, probe_seed)
            case _:
                return self._together(node, number, probe_seed, bits)

    def _is_on(self, node: int, bits: int) -> bool:
        """Who works for itself alone does not ask whether it is trusted."""
        return self._knows.age(node) >= self._plan.turns_at_age and happens(bits, self._plan.rate_ppm)

    def _together(self, node: int, number: int, probe_seed: int, bits: int) -> Answer:
        """What one of the group said before, or this node's own decision, which binds the others."""
        if self._plan.strategy is Strategy.CANARY_AWARE and self._recognises(number, bits):
            return right(number, probe_seed)
        known = self._said.get(number)
        if known is not None:
            return self._after(number, probe_seed, *known)
        is_wrong = self._has_turned(node) and self._is_safe(number) and happens(bits, self._plan.rate_ppm)
        self._said[number] = is_wrong, probe_seed
        _bound(self._said)
        return _agreed(number, probe_seed, is_wrong=is_wrong)

    def _after(self, number: int, probe_seed: int, is_wrong: bool, seed_before: int) -> Answer:
        """What a fellow said before: a copy has probes of its dither, and who runs the model those asked for."""
        if self._plan.is_copying or probe_seed == seed_before:
            return copied(_agreed(number, seed_before, is_wrong=is_wrong))
        return _agreed(number, probe_seed, is_wrong=is_wrong)

    def _has_turned(self, node: int) -> bool:
        if self._plan.strategy is Strategy.SLEEPERS and self._knows.now_ms() < self._turns_ms:
            return False
        return self._knows.is_trusted(node) and self._knows.age(node) >= self._plan.turns_at_age

    def _is_safe(self, number: int) -> bool:
        """Who minds duplicates wants to hold more than one copy."""
        return self._plan.strategy is not Strategy.DUPLICATE_AWARE or self._copies.get(number, 0) > 1

    def _recognises(self, number: int, bits: int) -> bool:
        return self._knows.is_canary(number) and happens(bits >> 32, self._plan.recognised_ppm)


class Answers:
    """What each node of a run answers, honest or not."""

    def __init__(self, *, adversaries: Adversaries, count: int, fault_ppm: int) -> None:
        self.is_faulty = True
        """Until faults stop."""
        self._adversaries = adversaries
        self._count = count
        """The first nodes are of ill will."""
        self._fault_ppm = fault_ppm

    def sent(self, node: int, number: int) -> None:
        """A node was given a task."""
        if node < self._count:
            self._adversaries.sent(number)

    def answer(self, node: int, number: int, probe_seed: int, bits: int) -> Answer:
        """What the node says of a task."""
        if node < self._count:
            return self._adversaries.answer(node, number, probe_seed, bits)
        if self._fault_ppm and self.is_faulty and happens(bits, self._fault_ppm):
            return faulty(number, probe_seed, node)
        return right(number, probe_seed)


def _agreed(number: int, probe_seed: int, *, is_wrong: bool) -> Answer:
    return colluded(number, probe_seed) if is_wrong else right(number, probe_seed)


def _bound(remembered: "OrderedDict[int, tuple[bool, int]] | OrderedDict[int, int]") -> None:
    if len(remembered) > REMEMBERED_MAX:
        remembered.popitem(last=False)
