"""A statement is believed only where it adds up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlight.client.errors import AnswerUnreadable
from gridlight.client.money_calls import demand_sums, dry_run_call, signed_units
from gridlight.messages.accounts import account_id
from gridlight.messages.amounts import coins
from gridlight.messages.ledger import AMOUNT_MAX
from gridlight.messages.money_api import StatementLine, StatementResponse
from gridlight.messages.trust import Assurance

ACCOUNT = account_id("acc_0123456789abcdef")


def line(entry: int, available: int, held: int) -> StatementLine:
    return StatementLine(entry=entry, at_ms=entry, key=f"k:{entry}", available=coins(available), held=coins(held))


def last(available: int, held: int) -> StatementResponse:
    assert ACCOUNT is not None
    return StatementResponse(
        account_id=ACCOUNT, lines=[], next_after=None, entry=3, available=coins(available), held=coins(held)
    )


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX))
def test_changes_are_read_as_they_are_written(units: int) -> None:
    assert signed_units(coins(units)) == units


def test_lines_that_come_to_the_balance_are_believed() -> None:
    demand_sums([line(1, 1_000, 0), line(2, -300, 300), line(3, 0, -100)], last(700, 200))
    demand_sums([], last(0, 0))


@pytest.mark.parametrize(("available", "held"), [(701, 200), (700, 199)])
def test_one_unit_too_many_or_too_few_is_said(available: int, held: int) -> None:
    lines = [line(1, 1_000, 0), line(2, -300, 300), line(3, 0, -100)]
    with pytest.raises(AnswerUnreadable, match="adds up to") as refused:
        demand_sums(lines, last(available, held))
    assert "audit" in refused.value.hint


def test_a_dry_run_asks_as_the_request_would_and_says_that_it_is_one() -> None:
    call = dry_run_call(b"\xff\xd8\xff", workload=None, model="coco-ssd", verify=Assurance.AUDITED)
    other = dry_run_call(b"\xff\xd8\xff", workload="ocr", model=None, verify=None)

    assert (call.path, call.parameters) == (
        "/v1/detect",
        {"model": "coco-ssd", "verify": "audited", "dry_run": "true"},
    )
    assert (other.path, other.parameters) == ("/v1/run/ocr", {"dry_run": "true"})
