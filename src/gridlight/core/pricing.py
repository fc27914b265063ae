"""What a task costs its requester and earns its node: flat by workload, whoever computes it and however fast.

Work is counted in mWU, thousandths of a work unit: milli-GFLOP of the workload's graph (two for each multiply-add),
with what goes before and after it, fixed by a reference run when the workload is published. Nothing that a node claims
enters a price, so there is nothing to claim.
"""

from typing import Final

from msgspec import Struct

from gridlight.messages.amounts import coins
from gridlight.messages.jobs import JobCode, JobState, Outcome, Shortfall
from gridlight.messages.ledger import MoneyParameters
from gridlight.messages.trust import Assurance, Role

MILLION: Final = 1_000_000

LEVEL_PPM: Final = {
    Assurance.NONE: 1_000_000,
    Assurance.SAMPLED: 1_120_000,
    Assurance.AUDITED: 2_050_000,
    Assurance.ARBITRATED: 3_300_000,
}
"""Rewards that a task costs on average, checks and hedges included; docs/ledger.md derives them."""

_UNPAID: Final = frozenset({Role.REFERENCE})
"""Reference nodes are the founder's own."""


class Quote(Struct, frozen=True, gc=False):
    """What one task costs, and where that goes once it is final. Amounts are units."""

    reward: int
    """To whoever is served."""
    fee: int
    verify: int
    """To the pool that pays checks."""

    @property
    def price(self) -> int:
        """What the requester pays, and what is held until it is known whether it must."""
        return self.reward + self.fee + self.verify


def quote(mwu: int, assurance: Assurance, money: MoneyParameters) -> Quote:
    """The price of a task of `mwu` thousandths of a work unit. Rounded up, so that nothing is computed for nothing."""
    assert mwu >= 0
    reward = -(-mwu * money.units_per_million_mwu // MILLION)
    verify = -(-reward * (LEVEL_PPM[assurance] - MILLION) // MILLION)
    return Quote(reward=reward, fee=-(-reward * money.fee_ppm // MILLION), verify=verify)


def pay(reward: int, role: Role) -> int:
    """What one run earns. The same for every role that a trusted node can have, and half of it for a newcomer's:

    a node knows its own tier, and so learns nothing from what it is paid.
    """
    if role in _UNPAID:
        return 0
    return reward // 2 if role is Role.SHADOW else reward


def too_little(account_id: str, price: int, available: int) -> Outcome:
    """How a job ends that its account cannot pay, with what is missing."""
    assert available < price
    return Outcome(
        state=JobState.REFUSED,
        code=JobCode.INSUFFICIENT_FUNDS,
        hint=f"it costs {coins(price)} coin and account {account_id} lacks {coins(price - available)}: credit it first",
        shortfall=Shortfall(price=price, available=available),
    )
