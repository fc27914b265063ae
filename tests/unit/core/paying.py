"""A whole coordinator whose requesters pay, as tests of money need it."""

import msgspec
from tests.unit.core.world import (
    OUTPUT,
    WORKLOAD,
    World,
    job_id,
    node_id,
    only,
    sends,
    submitted,
)

from gridlight.messages.codec import Effect
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.ledger import (
    AccountCredited,
    MoneyParameters,
    PricesSet,
    req_avail,
)
from gridlight.messages.receipts import Receipt, RecordSheet
from gridlight.messages.trust import Assurance, Tier

REWARD, FEE = 1_000, 100
PRICES = PricesSet(money=MoneyParameters(hold_ms=1_000, hold_tasks=1), work={WORKLOAD: REWARD})


def priced(world: World, *, funds: int = 100_000) -> World:
    """Prices are set, every node is known, and Anna has money."""
    world.tell(PRICES)
    for number in range(1, world.nodes_made + 1):
        world.coordinator.bookkeeping.earnings.know(node_id(number), node_id(number))
        tier = world.coordinator.reputation.tier_of(number - 1)
        world.coordinator.bookkeeping.earnings.trust(node_id(number), is_trusted=tier is not Tier.SHADOW)
    if funds:
        world.tell(AccountCredited(key="grant:anna", account=req_avail("anna"), amount=funds))
    return world


def submit(world: World, assurance: Assurance = Assurance.AUDITED, *, is_public: bool = False) -> list[Effect]:
    """A job that Anna pays for."""
    world.jobs_made += 1
    job = submitted(job_id(world.jobs_made), assurance=assurance, is_public=is_public)
    return world.tell(msgspec.structs.replace(job, account_id="anna"))


def serve(
    world: World, assurance: Assurance = Assurance.AUDITED, *, output: bytes = OUTPUT, is_public: bool = False
) -> tuple[SendAssignment, list[Effect]]:
    (send,) = sends(submit(world, assurance, is_public=is_public))
    return send, world.result(send, output=output)


def pinned(world: World, node: NodeId, assurance: Assurance = Assurance.SAMPLED) -> list[Effect]:
    """A job that Anna pays for, and this node shall do."""
    world.jobs_made += 1
    job = submitted(job_id(world.jobs_made), assurance=assurance, pinned_node=node)
    return world.tell(msgspec.structs.replace(job, account_id="anna"))


def balance(world: World, account: str) -> int:
    return world.coordinator.bookkeeping.ledger.balance(account)


def begin_epoch(world: World, epoch: int = 2) -> tuple[RecordSheet, list[Receipt]]:
    (sheet,) = only(RecordSheet, world.begin_epoch(epoch))
    return sheet, list(sheet.receipts)
