"""What administrators say of nodes and operators over HTTP, what operators say of themselves, and the answers."""

from typing import Annotated

from msgspec import Meta, Struct

from gridlight.messages.manifests import STATEMENT_CHARACTERS_MAX
from gridlight.messages.money_api import PayoutView
from gridlight.messages.operators import SUCCESSIONS_MAX, OperatorKeyField, ReasonText, Verdict

RULINGS_LISTED_MAX = 10_000


class RuleKeyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/network/operators`."""

    key: OperatorKeyField
    """Of an operator, or of one node."""
    verdict: Verdict
    reason: Annotated[ReasonText, Meta(min_length=1)]
    """Told to whom it concerns, and kept."""


class KeyRuledResponse(Struct, frozen=True, kw_only=True):
    """The ruling is in the journal."""

    key: OperatorKeyField
    verdict: Verdict
    nodes: int
    """That the network knows and that are concerned."""


class RulingView(Struct, frozen=True, kw_only=True):
    """One line of the audit log."""

    key: OperatorKeyField
    verdict: Verdict
    reason: str
    nodes: int
    at_ms: int


class RulingsResponse(Struct, frozen=True, kw_only=True):
    """`GET /v1/network/operators`, the newest first: of several on one key the first one stands."""

    rulings: list[RulingView]


class PayoutStatementBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PUT /v1/operators/{key}/payout`."""

    statement: Annotated[str, Meta(max_length=(SUCCESSIONS_MAX + 1) * (STATEMENT_CHARACTERS_MAX + 1))]
    """A PayoutStatement, signed: `base64url(JSON).base64url(signature)`; below it successions, a line each."""


class OperatorPayoutResponse(Struct, frozen=True, kw_only=True):
    """`PUT` and `GET /v1/operators/{key}/payout`: what stands."""

    operator: OperatorKeyField
    payout: PayoutView | None
    """Nothing where the operator never said; an administrator may have named an address then."""
    least: str
    """Coins: no threshold may be lower."""
