"""The operator's word on where they are paid: signed with the operator's key, kept by gateways, believed by the payer.

It is a signed statement: a PayoutStatement. Whoever reads one checks it, so that nobody in between can name an address.
"""

from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.statements import read_statement, sign_statement
from gridlight.messages.codec import ProtocolViolation, ViolationReason, payout_statements
from gridlight.messages.envelope import PAYOUT_DOMAIN
from gridlight.messages.operators import PayoutStatement


def state_payout(operator: SigningKey, address: str | None, *, threshold: int, serial: int) -> str:
    """The text that is sent. ProtocolViolation where it would say what no network understands."""
    statement = PayoutStatement(operator=operator.public, address=address, threshold=threshold, serial=serial)
    text = sign_statement(operator, PAYOUT_DOMAIN, statement)
    check_payout_statement(text, operator.public)
    return text


def check_payout_statement(text: str, operator: str) -> PayoutStatement:
    """What this operator said; ProtocolViolation where they did not. The address is checked by its form alone."""
    statement = read_statement(text, PAYOUT_DOMAIN, operator, payout_statements)
    if statement.operator != operator:
        raise ProtocolViolation(ViolationReason.WRONG_SENDER, f"the statement names {statement.operator}")
    return statement
