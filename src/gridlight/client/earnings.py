"""What an operator earned, added up from the network's lines; so the totals are what the lines say, to the unit."""

from msgspec import Struct

from gridlight.client.money_calls import signed_units
from gridlight.messages.amounts import coins
from gridlight.messages.ids import NodeId
from gridlight.messages.money_api import EarningsLine, PayoutView, VestingView


class Earnings(Struct, frozen=True, kw_only=True):
    """As of the sheet of receipts that was closed last; amounts in coins."""

    node_id: NodeId
    operator: str
    network_key: str
    closed_ms: int | None
    """When the newest sheet on which something moved was closed; nothing where nothing ever did."""
    pending: str
    available: str
    stake: str
    in_flight: str
    earned: str
    paid: str
    clawed_back: str
    slashed: str
    vesting: list[VestingView]
    is_trusted: bool
    disputes: int
    lines: list[EarningsLine]
    payout: PayoutView | None = None
    """Where the operator is paid by their own word, with the ends of the address alone."""

    def totals(self) -> dict[str, str]:
        """By name, as they are shown."""
        return {
            "pending": self.pending,
            "available": self.available,
            "in flight": self.in_flight,
            "paid": self.paid,
            "stake": self.stake,
            "earned": self.earned,
            "clawed back": self.clawed_back,
            "slashed": self.slashed,
        }


def total(lines: list[EarningsLine], part: str, kind: str | None = None) -> int:
    """Units that lines of a kind, or all, moved to or from one account of the operator's."""
    return sum(signed_units(getattr(line, part)) for line in lines if kind in (None, line.kind))


def added_up(
    lines: list[EarningsLine],
    *,
    node_id: NodeId,
    operator: str,
    network_key: str,
    vesting: list[VestingView],
    is_trusted: bool,
    disputes: int,
    payout: PayoutView | None = None,
) -> Earnings:
    """The lines of all pages, and what they come to."""
    return Earnings(
        node_id=node_id,
        operator=operator,
        network_key=network_key,
        closed_ms=lines[-1].closed_ms if lines else None,
        pending=coins(total(lines, "pending")),
        available=coins(total(lines, "available")),
        stake=coins(total(lines, "stake")),
        in_flight=coins(total(lines, "in_flight")),
        earned=coins(total(lines, "pending", "earned")),
        paid=coins(-total(lines, "in_flight", "paid")),
        clawed_back=coins(-total(lines, "pending", "clawed back")),
        slashed=coins(-total(lines, "stake", "slashed")),
        vesting=vesting,
        is_trusted=is_trusted,
        disputes=disputes,
        lines=lines,
        payout=payout,
    )
