"""Amounts as text: exact both ways, and nothing is taken for one that is none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlight.messages.amounts import AmountField, coins, units
from gridlight.messages.ledger import AMOUNT_MAX


@pytest.mark.parametrize(
    ("amount", "told"), [(0, "0.0000000"), (1, "0.0000001"), (-25_000_000, "-2.5000000"), (10**18, f"{10**11}.0000000")]
)
def test_amounts_are_told_to_the_last_unit(amount: int, told: str) -> None:
    assert coins(amount) == told


@given(st.integers(0, AMOUNT_MAX))
def test_what_is_written_is_read_as_the_same(amount: int) -> None:
    assert units(coins(amount)) == amount
    assert coins(-amount) == ("-" if amount else "") + coins(amount)


@pytest.mark.parametrize(
    ("text", "amount"), [("0", 0), ("12", 120_000_000), ("0.1", 1_000_000), ("0012.3450000", 123_450_000)]
)
def test_a_person_may_leave_out_what_adds_nothing(text: str, amount: int) -> None:
    assert units(text) == amount
    assert msgspec.convert(text, AmountField) == text


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.", ".5", "1,5", "1e3", "1.00000001", "\u0661", "1 ", "9" * 13, "NaN"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        units(text)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, AmountField)


def test_more_than_the_books_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the books"):
        units("100000000000.0000001")
