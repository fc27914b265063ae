"""The operator's word on where they are paid: signed with the operator's key, kept by gateways, believed by the payer.

It is a signed statement: a PayoutStatement. Whoever reads one checks it, so that nobody in between can name an address.
It names the operator as networks do, by the first key; below it stand the successions that led to the one that signed.
"""

from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.statements import read_statement, sign_statement
from gridlight.adapters.successions import check_successions, speaking_key, split_carried
from gridlight.messages.codec import ProtocolViolation, ViolationReason, payout_statements
from gridlight.messages.envelope import PAYOUT_DOMAIN
from gridlight.messages.operators import PayoutStatement


def state_payout(
    key: SigningKey, address: str | None, *, threshold: int, serial: int, successions: tuple[str, ...] = ()
) -> str:
    """The text that is sent. ProtocolViolation where it would say what no network understands."""
    operator = check_successions(successions)[0].old_key if successions else key.public
    statement = PayoutStatement(operator=operator, address=address, threshold=threshold, serial=serial)
    text = "\n".join((sign_statement(key, PAYOUT_DOMAIN, statement), *successions))
    check_payout_statement(text, operator)
    return text


def check_payout_statement(text: str, operator: str) -> PayoutStatement:
    """What this operator said; ProtocolViolation where they did not. The address is checked by its form alone."""
    said, successions = split_carried(text)
    statement = read_statement(said, PAYOUT_DOMAIN, speaking_key(operator, successions), payout_statements)
    if statement.operator != operator:
        raise ProtocolViolation(ViolationReason.WRONG_SENDER, f"the statement names {statement.operator}")
    return statement


def succession_count(text: str) -> int:
    """How many keys the operator had before the one that signed this."""
    return len(split_carried(text)[1])
