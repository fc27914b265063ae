"""What a gateway asks the coordinator about money: it changes nothing, and so it is not journalled."""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.ids import GatewayIdField, NodeIdField, WorkloadIdField
from gridlight.messages.ledger import AccountIdField, Amount, Price
from gridlight.messages.reasons import QuestionField
from gridlight.messages.trust import Assurance

Count = Annotated[int, Meta(ge=0, lt=2**53)]


class FundsAsked(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="funds.asked.v1"):
    """A gateway asks what an account has, and what a task of a workload would cost it."""

    gateway_id: GatewayIdField
    question: QuestionField
    """Comes back with the answer."""
    account_id: AccountIdField | None = None
    """Nothing where nobody would pay: an administrator's own request."""
    workload: WorkloadIdField | None = None
    assurance: Assurance = Assurance.SAMPLED


class TellFunds(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="funds.tell.v1"):
    """To the gateway that asked. Units of 1e-7 coin."""

    gateway_id: GatewayIdField
    question: QuestionField
    seq: Count
    """The ledger's newest entry, which the amounts include."""
    available: Price
    held: Price
    """For open tasks, and for shares of final ones that are not collected yet."""
    price: Price
    """0 where no workload was named, or the network has no prices."""


class HeldBack(Struct, frozen=True, gc=False, kw_only=True):
    """About a day's earnings of a node that did not vest yet."""

    amount: Amount
    vests_ms: Count
    """Not before, on the coordinator's clock; rounded up to the hour."""
    tasks_missing: Count
    """So many later tasks of the node must be paid first."""


class NodeHeldBack(Struct, frozen=True, gc=False, kw_only=True):
    """What a node earned that did not vest yet, as of the sheet of receipts that was closed last, and what it waits
    for. What came since is told once the next sheet is closed: when it came would tell what it was for.
    """

    operator: AccountIdField
    days: tuple[HeldBack, ...]
    is_trusted: bool
    disputes: Count
    """Of its answers; nothing vests while there is one."""


class EarningsAsked(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="earnings.asked.v1"):
    """A gateway asks what is held back of a node's earnings."""

    gateway_id: GatewayIdField
    node_id: NodeIdField
    question: QuestionField


class TellEarnings(Struct, frozen=True, gc=False, kw_only=True, tag_field="type", tag="earnings.tell.v1"):
    """To the gateway that asked; nothing where the books know no such node."""

    gateway_id: GatewayIdField
    question: QuestionField
    node: NodeHeldBack | None
