"""Where operators say that they are paid: which of their words a gateway takes, and what stands.

Whatever is taken is checked again by the payer, who pays by it; what is refused here is refused with its reason.
"""

from typing import Final

from msgspec.structs import replace

from gridlight.adapters.chain.addresses import BadAddress, checked_address
from gridlight.adapters.kept_statements import KeptStatements
from gridlight.adapters.payout_statements import check_payout_statement, succession_count
from gridlight.messages.amounts import coins
from gridlight.messages.codec import ProtocolViolation, ViolationReason
from gridlight.messages.money_api import PayoutView
from gridlight.messages.operators import PayoutStatement
from gridlight.services.gateway.errors import Refusal

AHEAD_MS_MAX: Final = 3_600_000
"""By so much an operator's clock may be ahead of ours."""

_UNSIGNED: Final = (ViolationReason.BAD_SIGNATURE, ViolationReason.WRONG_SENDER)
_FIELD_CODES: Final = (("`$.address`", "BAD_PAYOUT_ADDRESS"), ("`$.threshold`", "BAD_PAYOUT_THRESHOLD"))


class Payouts:
    """Blocking: it reads and writes the database."""

    def __init__(self, kept: KeptStatements, least_units: int) -> None:
        self._kept: Final = kept
        self.least_units: Final = least_units
        """No threshold may be lower."""

    def take(self, operator: str, text: str, now_ms: int) -> PayoutView:
        """The operator's new word, once it is kept. Refusal where it is another's, not to be paid by, or old."""
        statement = _read(operator, text)
        if statement.address is not None:
            try:
                checked_address(statement.address)
            except BadAddress as error:
                raise Refusal("BAD_PAYOUT_ADDRESS", f"Nothing can be paid there: {error}.") from None
        if statement.threshold < self.least_units:
            raise Refusal("BAD_PAYOUT_THRESHOLD", f"Nobody is paid less than {coins(self.least_units)} coin at once.")
        if statement.serial > now_ms + AHEAD_MS_MAX:
            raise Refusal("STATEMENT_AHEAD")
        if not self._kept.knows(operator):
            raise Refusal("UNKNOWN_OPERATOR")
        stands = self._kept.find(operator)
        if stands is not None and succession_count(text) < succession_count(stands):
            raise Refusal("KEY_SUCCEEDED", "A later key of this operator has said where to be paid.")
        if not self._kept.keep(statement, text):
            raise Refusal("OLD_STATEMENT")
        return _view(statement)

    def standing(self, operator: str) -> PayoutView | None:
        """What stands; None where the operator never said."""
        text = self._kept.find(operator)
        return None if text is None else _view(check_payout_statement(text, operator))

    def knows(self, operator: str) -> bool:
        """Whether the network knows the operator."""
        return self._kept.knows(operator)

    def close(self) -> None:
        """Close the connections."""
        self._kept.close()


def shortened(payout: PayoutView | None) -> PayoutView | None:
    """With the ends of the address alone: enough for its owner to know it again."""
    if payout is None or payout.address is None:
        return payout
    return replace(payout, address=f"{payout.address[:4]}\N{HORIZONTAL ELLIPSIS}{payout.address[-4:]}")


def _read(operator: str, text: str) -> PayoutStatement:
    try:
        return check_payout_statement(text, operator)
    except ProtocolViolation as violation:
        if violation.reason in _UNSIGNED:
            raise Refusal("PAYOUT_UNSIGNED") from None
        detail = str(violation)
        code = next((code for field, code in _FIELD_CODES if field in detail), "BAD_PAYOUT_STATEMENT")
        raise Refusal(code, f"It cannot be read: {detail[:200]}.") from None


def _view(statement: PayoutStatement) -> PayoutView:
    return PayoutView(address=statement.address, threshold=coins(statement.threshold), serial=statement.serial)
