"""Answers what gateways ask of the core. It changes nothing, so it is no event, and is in no journal."""

from typing import assert_never

from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import CoordinatorAnswer, GatewayQuestion
from gridlight.messages.funds import EarningsAsked, FundsAsked, TellEarnings, TellFunds
from gridlight.messages.ledger import req_avail, req_escrow
from gridlight.messages.reasons import ReasonsAsked, TellReasons, WorkloadReasons


def answer(core: Coordinator, asked: GatewayQuestion) -> CoordinatorAnswer:
    """What the core knows of it now. O(workloads, or a node's days)."""
    match asked:
        case ReasonsAsked():
            node = core.fleet.index_of(asked.node_id)
            workloads = None if node is None else _counted(core, node)
            return TellReasons(gateway_id=asked.gateway_id, question=asked.question, workloads=workloads)
        case FundsAsked():
            return _funds(core, asked)
        case EarningsAsked():
            books = core.bookkeeping
            held_back = books.earnings.held_back(asked.node_id, *books.register.sheet.earned(asked.node_id))
            return TellEarnings(gateway_id=asked.gateway_id, question=asked.question, node=held_back)
        case _:
            assert_never(asked)


def _funds(core: Coordinator, asked: FundsAsked) -> TellFunds:
    books, account = core.bookkeeping, asked.account_id
    return TellFunds(
        gateway_id=asked.gateway_id,
        question=asked.question,
        seq=books.ledger.seq,
        available=0 if account is None else books.ledger.balance(req_avail(account)),
        held=0 if account is None else books.ledger.balance(req_escrow(account)),
        price=0 if asked.workload is None else books.price(asked.workload, asked.assurance),
    )


def _counted(core: Coordinator, node: int) -> tuple[WorkloadReasons, ...]:
    return tuple(
        WorkloadReasons(
            workload=workload,
            since_ms=lane.reasons.since_ms(node),
            considered=lane.reasons.considered_for(node),
            reasons=lane.reasons.counts(node),
        )
        for workload, lane in core.scheduling.placement.lanes.items()
        if lane.reasons.knows(node)
    )
