"""Deposits: real payments on a chain, through an HTTP server that misbehaves, to a ledger that credits each once."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from stellar_sdk import Asset
from structlog.testing import capture_logs
from tests.outside.horizon import TIMED_OUT, Answer, Horizon, Plan, served
from tests.outside.paying_in import ISSUER, PAYER, Rewritten, Till

from gridlight.adapters.chain.addresses import deposit_address
from gridlight.adapters.deposit_store import DepositStore, NotAttributed
from gridlight.adapters.network_books import NetworkBooks, NetworkUnread
from gridlight.messages.accounts import deposit_number
from gridlight.messages.ids import AccountId

STRANGER = deposit_address(PAYER.public_key, 2**64 - 1)
STEPS = ["read", "kept", "looked", "ledger heard", "ledger decided", "ledger committed", "told", "settled", "read"]


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    till = Till(tmp_path)
    yield till
    till.close()


def records(answer: Answer) -> list[dict[str, Any]]:
    page: Any = answer[1]
    found: list[dict[str, Any]] = page["_embedded"]["records"]
    return found


def told_otherwise(**changes: object) -> Callable[[Answer], Answer]:
    """Each record with these instead."""
    return lambda answer: (200, {"_embedded": {"records": [{**one, **changes} for one in records(answer)]}})


def test_what_requesters_pay_is_theirs_and_what_names_nobody_is_kept_for_an_administrator(till: Till) -> None:
    both = till.pay((till.address(till.anna), 25_000_000), (till.address(till.ben), 7), (till.address(till.anna), 1))
    bare, unknown = till.pay((PAYER.public_key, 40)), till.pay((STRANGER, 50))
    till.pay((till.address(till.anna), 10**9), asset=Asset("USD", ISSUER))
    till.pay((till.address(till.ben), 3), is_path=True)
    till.pay((till.address(till.ben), 10**15))  # more than the wallet has: it fails in its ledger

    with served(Horizon(till.chain, Plan())) as url:
        assert till.live(url)
    store = DepositStore(till.url)

    assert (till.has(till.anna), till.has(till.ben)) == (25_000_001, 10)
    assert [till.ledger.core.bookkeeping.ledger.find(f"deposit:{both}:{place}") is None for place in range(4)] == [
        *[False] * 3,
        True,
    ]
    assert {(one.transaction, one.units, one.number) for one in store.open()} == {
        (bare, 40, None),
        (unknown, 50, str(2**64 - 1)),
    }
    totals = store.totals()
    assert (totals.credited, totals.credited_units, totals.waiting, totals.refused) == (4, 25_000_011, 0, 0)
    assert (totals.unattributed, totals.unattributed_units) == (2, 90)

    store.attribute(9, bare, 0, till.ben)
    store.attribute(9, bare, 0, till.ben)
    with pytest.raises(NotAttributed, match=f"is {till.ben}'s already"):
        store.attribute(9, bare, 0, till.anna)
    with pytest.raises(NotAttributed, match="was seen"):
        store.attribute(9, bare, 1, till.anna)
    with served(Horizon(till.chain, Plan())) as url:
        assert till.live(url)
    assert till.has(till.ben) == 50
    assert [one.transaction for one in store.open()] == [unknown]
    store.close()


def test_a_watcher_that_is_killed_at_each_step_credits_each_deposit_once(till: Till) -> None:
    paid = 0
    with served(Horizon(till.chain, Plan())) as url:
        for step in range(1, len(STEPS) + 1):
            till.pay((till.address(till.anna), 1_000 + step))
            paid += 1_000 + step
            assert not till.live(url, dies_at=step)
            assert till.points == STEPS[:step]
            assert till.live(url)
            assert till.has(till.anna) == paid


def test_a_chain_that_fails_and_a_coordinator_that_dies_cost_nobody_a_deposit(till: Till) -> None:
    till.ledger.random, till.ledger.dies = Random(3), 25
    plan = Plan(seed=2, broken=40)
    with served(Horizon(till.chain, plan)) as url:
        for number in range(6):
            till.pay((till.address(till.anna), 10**number), (till.address(till.ben), 1))
            till.live(url, dies_at=3 + number)
        till.ledger.dies = 0
        assert till.live(url)
    assert (till.has(till.anna), till.has(till.ben)) == (111_111, 6)


def test_a_watcher_that_lost_its_database_credits_nothing_again(till: Till, tmp_path: Path) -> None:
    till.pay((till.address(till.anna), 5))
    with served(Horizon(till.chain, Plan())) as url:
        assert till.live(url)
        till.url = f"sqlite:///{tmp_path / 'another.db'}"
        till.pay((till.address(till.anna), 6))
        assert till.live(url)
    assert till.has(till.anna) == 11
    assert till.points.count("told") == 1, "the ledger was asked first, and only what it has not was told"


def test_a_horizon_that_hides_repeats_or_times_out_loses_and_doubles_nothing(till: Till) -> None:
    horizon = Rewritten(Horizon(till.chain, Plan()))
    first: list[Answer] = []

    def repeated(answer: Answer) -> Answer:
        first.append(answer)
        return first[0]

    calls = [0]

    def late(answer: Answer) -> Answer:
        calls[0] += 1
        if calls[0] == 1:
            return TIMED_OUT
        if calls[0] == 2:
            time.sleep(1)
        return answer

    till.pay((till.address(till.anna), 5))
    with served(horizon) as url:
        horizon.rewrite = lambda _: (200, {"_embedded": {"records": []}})
        assert till.live(url)
        assert till.has(till.anna) == 0
        horizon.rewrite = repeated
        assert till.live(url)
        till.pay((till.address(till.anna), 6))
        assert till.live(url)
        assert till.has(till.anna) == 5, "it has shown the old page alone"
        horizon.rewrite = late
        assert till.live(url, deadline_s=0.5)
        assert till.has(till.anna) == 11
        assert calls[0] >= 3


def test_what_one_answer_left_out_is_found_by_reading_from_the_start(till: Till) -> None:
    horizon = Rewritten(Horizon(till.chain, Plan()))
    till.pay((till.address(till.anna), 5))
    till.pay((till.address(till.ben), 6))
    with served(horizon) as url:
        horizon.rewrite = lambda answer: (200, {"_embedded": {"records": records(answer)[1:]}})
        assert till.live(url)
        horizon.rewrite = lambda answer: answer
        assert till.live(url)
        assert (till.has(till.anna), till.has(till.ben)) == (0, 6)
        assert till.live(url, is_from_start=True)
    assert (till.has(till.anna), till.has(till.ben)) == (5, 6)


@pytest.mark.parametrize("has_database", [True, False])
def test_another_amount_for_a_known_deposit_is_refused_and_logged(
    till: Till, tmp_path: Path, *, has_database: bool
) -> None:
    horizon = Rewritten(Horizon(till.chain, Plan()))
    till.pay((till.address(till.anna), 5))
    with served(horizon) as url:
        assert till.live(url)
        if not has_database:
            till.url = f"sqlite:///{tmp_path / 'another.db'}"
        horizon.rewrite = told_otherwise(amount="0.0000009")
        with capture_logs() as logs:
            assert till.live(url, is_from_start=True)
    assert till.has(till.anna) == 5
    said = {"deposit_contradicted", "deposit_refused"} & {one["event"] for one in logs}
    assert said == {"deposit_contradicted" if has_database else "deposit_refused"}
    store = DepositStore(till.url)
    assert [one.refused for one in store.open()] == (
        [] if has_database else [f"entry 1 has it as 5 units to req:{till.anna}:avail"]
    )
    assert store.totals().refused == (not has_database)
    store.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"transaction_successful": False},
        {"asset_type": "credit_alphanum4"},
        {"to": ISSUER},
        {"type": "create_account"},
    ],
)
def test_what_is_no_payment_to_us_is_passed_over(till: Till, changes: dict[str, object]) -> None:
    horizon = Rewritten(Horizon(till.chain, Plan()))
    till.pay((till.address(till.anna), 5))
    with served(horizon) as url:
        horizon.rewrite = told_otherwise(**changes)
        assert till.live(url)
    assert till.has(till.anna) == 0
    store = DepositStore(till.url)
    assert store.totals().unattributed == 0
    store.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "0.0000000"},
        {"amount": "-1.0000000"},
        {"amount": "999999999999.0000000"},
        {"to_muxed_id": str(2**64)},
        {"to_muxed_id": "anna"},
        {"transaction_hash": "../accounts"},
        {"id": "4096"},
        {"paging_token": "now&order=desc"},
        {"transaction_successful": None},
    ],
)
def test_a_payment_like_no_chains_is_an_answer_that_cannot_be_read(till: Till, changes: dict[str, object]) -> None:
    horizon = Rewritten(Horizon(till.chain, Plan()))
    till.pay((till.address(till.anna), 5))
    calls = [0]

    def once(answer: Answer) -> Answer:
        calls[0] += 1
        return told_otherwise(**changes)(answer) if calls[0] == 1 else answer

    with served(horizon) as url, capture_logs() as logs:
        horizon.rewrite = once
        assert till.live(url)
    assert [one["event"] for one in logs].count("deposits_wait") == 1
    assert till.has(till.anna) == 5


def test_a_table_of_accounts_that_was_tampered_with_turns_over_nobodys_payments(till: Till, tmp_path: Path) -> None:
    number = deposit_number(till.anna)
    with till.accounts._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE accounts SET deposit_number = 1 WHERE account_id = '{till.anna}'")
        connection.exec_driver_sql(f"UPDATE accounts SET deposit_number = {number} WHERE account_id = '{till.ben}'")
    till.pay((till.address(till.anna), 5))
    with served(Horizon(till.chain, Plan())) as url:
        assert till.live(url)
    assert (till.has(till.anna), till.has(till.ben)) == (0, 0)
    store = DepositStore(till.url)
    assert [one.number for one in store.open()] == [str(number)]
    store.close()


def test_a_database_of_the_network_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    network = NetworkBooks(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(NetworkUnread, match="cannot be read"):
        network.has_account(AccountId("acc_0123456789abcdef"))
    network.close()
