"""What the SDK asks of a gateway about money, and how it reads the answers; statements are held to their balance."""

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from gridlight.client.errors import AnswerUnreadable
from gridlight.client.exchange import ANSWER_BYTES_MAX, READ_TIMEOUT_S, Call, detect_call, run_call
from gridlight.messages.amounts import coins
from gridlight.messages.codec import Decoder, encode
from gridlight.messages.ledger import UNITS_PER_COIN
from gridlight.messages.money_api import (
    IDEMPOTENCY_HEADER,
    BalanceResponse,
    CreditBody,
    CreditResponse,
    DepositResponse,
    DryRunResponse,
    StatementLine,
    StatementResponse,
)
from gridlight.messages.trust import Assurance

CREDIT_TIMEOUT_S: Final = 20.0

dry_runs: Final[Decoder[DryRunResponse]] = Decoder(DryRunResponse, ANSWER_BYTES_MAX)
credit_responses: Final[Decoder[CreditResponse]] = Decoder(CreditResponse, ANSWER_BYTES_MAX)
balance_responses: Final[Decoder[BalanceResponse]] = Decoder(BalanceResponse, ANSWER_BYTES_MAX)
deposit_responses: Final[Decoder[DepositResponse]] = Decoder(DepositResponse, ANSWER_BYTES_MAX)
statement_responses: Final[Decoder[StatementResponse]] = Decoder(StatementResponse, ANSWER_BYTES_MAX)


def dry_run_call(photo: bytes | Path, *, workload: str | None, model: str | None, verify: Assurance | None) -> Call:
    """`POST /v1/detect?dry_run=true`, or of `/v1/run/{workload}` where one is named."""
    if workload is None:
        call = detect_call(photo, threshold=None, deadline_ms=None, model=model, node=None, verify=verify)
    else:
        call = run_call(workload, photo, threshold=None, deadline_ms=None, node=None, verify=verify, privacy=None)
    return replace(call, parameters={**call.parameters, "dry_run": "true"})


def credit_call(account: str, amount: str, key: str) -> Call:
    """`POST /v1/accounts/{id}/credits`; the same key grants once."""
    return Call(
        method="POST",
        path=f"/v1/accounts/{account}/credits",
        timeout_s=CREDIT_TIMEOUT_S,
        headers={"Content-Type": "application/json", IDEMPOTENCY_HEADER: key},
        body=encode(CreditBody(amount=amount)),
    )


def balance_call(account: str) -> Call:
    """`GET /v1/accounts/{id}/balance`."""
    return Call(method="GET", path=f"/v1/accounts/{account}/balance", timeout_s=READ_TIMEOUT_S)


def deposit_call(account: str) -> Call:
    """`GET /v1/accounts/{id}/deposit`."""
    return Call(method="GET", path=f"/v1/accounts/{account}/deposit", timeout_s=READ_TIMEOUT_S)


def statement_call(account: str, after: int) -> Call:
    """`GET /v1/accounts/{id}/statement`, a page."""
    path = f"/v1/accounts/{account}/statement"
    return Call(method="GET", path=path, timeout_s=READ_TIMEOUT_S, parameters={"after": str(after)})


def signed_units(text: str) -> int:
    """What `coins` wrote, in units."""
    whole, _, part = text.removeprefix("-").partition(".")
    counted = int(whole) * UNITS_PER_COIN + int(part)
    return -counted if text.startswith("-") else counted


def demand_sums(lines: list[StatementLine], last: StatementResponse) -> None:
    """AnswerUnreadable where the lines of all pages do not add up to what the last page says there is."""
    for name, said in (("available", last.available), ("held", last.held)):
        added = coins(sum(signed_units(getattr(line, name)) for line in lines))
        if added != said:
            raise AnswerUnreadable(
                f"the statement of {last.account_id} adds up to {added} coin {name}, and the network says {said}",
                "ask again; if it stays so, have the books audited: gridlight ledger audit",
            )
