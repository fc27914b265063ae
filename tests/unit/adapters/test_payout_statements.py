"""A payout statement: what an operator says of where to be paid, and what nobody can make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gridlight.adapters.payout_statements import check_payout_statement, state_payout, succession_count
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.statements import sign_statement
from gridlight.adapters.successions import succession
from gridlight.messages.codec import ProtocolViolation, ViolationReason
from gridlight.messages.envelope import CERTIFICATE_DOMAIN, PAYOUT_DOMAIN
from gridlight.messages.ledger import AMOUNT_MAX
from gridlight.messages.operators import PayoutStatement

ADDRESS = "GBTNCRAL6R6CH6B2S53C3I22UWER3ADTJFD57OWC666BNFFEMELJAFXE"
OPERATOR, OTHER = SigningKey.generate(), SigningKey.generate()
SAID = PayoutStatement(operator=OPERATOR.public, address=ADDRESS, threshold=7, serial=9)
TEXT = state_payout(OPERATOR, ADDRESS, threshold=7, serial=9)


def reason(text: str, operator: str = OPERATOR.public) -> ViolationReason:
    """Why it does not hold."""
    with pytest.raises(ProtocolViolation) as refused:
        check_payout_statement(text, operator)
    return refused.value.reason


@given(threshold=some.integers(1, AMOUNT_MAX), serial=some.integers(0, 2**53 - 1), is_stopped=some.booleans())
def test_it_says_where_from_what_amount_on_and_when(threshold: int, serial: int, *, is_stopped: bool) -> None:
    address = None if is_stopped else ADDRESS
    said = check_payout_statement(state_payout(OPERATOR, address, threshold=threshold, serial=serial), OPERATOR.public)
    assert (said.operator, said.address, said.threshold, said.serial) == (
        OPERATOR.public,
        address,
        threshold,
        serial,
    )


def test_nobody_says_it_in_anothers_stead() -> None:
    assert reason(TEXT, OTHER.public) is ViolationReason.BAD_SIGNATURE
    assert reason(sign_statement(OTHER, PAYOUT_DOMAIN, SAID)) is ViolationReason.BAD_SIGNATURE
    assert reason(sign_statement(OTHER, PAYOUT_DOMAIN, SAID), OTHER.public) is ViolationReason.WRONG_SENDER


def test_what_was_signed_for_something_else_is_none() -> None:
    assert reason(sign_statement(OPERATOR, CERTIFICATE_DOMAIN, SAID)) is ViolationReason.BAD_SIGNATURE


@given(at=some.integers(0, len(TEXT) - 1), by=some.integers(1, 63))
def test_no_character_of_it_can_be_changed(at: int, by: int) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if TEXT[at] == "." or at in (len(TEXT) - 1, TEXT.index(".") - 1):
        return  # the last of each part holds bits that say nothing
    reason(TEXT[:at] + letters[(letters.index(TEXT[at]) + by) % 64] + TEXT[at + 1 :])


@pytest.mark.parametrize("text", ["", ".", "x" * 5_000, "A.A", "\N{SNOWMAN}.A", TEXT + "A" * 900])
def test_what_is_no_statement_is_refused(text: str) -> None:
    reason(text)


@pytest.mark.parametrize(
    ("address", "threshold", "serial"),
    [
        ("S" + ADDRESS[1:], 7, 9),
        (ADDRESS + "\n", 7, 9),
        (ADDRESS[:-1], 7, 9),
        (ADDRESS.lower(), 7, 9),
        ("", 7, 9),
        (ADDRESS, 0, 9),
        (ADDRESS, AMOUNT_MAX + 1, 9),
        (ADDRESS, 7, -1),
        (ADDRESS, 7, 2**53),
    ],
)
def test_what_no_network_understands_is_not_even_signed(address: str, threshold: int, serial: int) -> None:
    with pytest.raises(ProtocolViolation):
        state_payout(OPERATOR, address, threshold=threshold, serial=serial)


def test_a_later_key_speaks_for_the_operator_whom_networks_know_by_the_first() -> None:
    led = (succession(OPERATOR, OTHER, now_ms=5),)
    text = state_payout(OTHER, ADDRESS, threshold=7, serial=9, successions=led)

    assert check_payout_statement(text, OPERATOR.public) == SAID
    assert (succession_count(TEXT), succession_count(text)) == (0, 1)
    assert reason(text, OTHER.public) is ViolationReason.WRONG_SENDER
    assert reason(f"{TEXT}\n{led[0]}") is ViolationReason.BAD_SIGNATURE, "the key before it speaks no more"
