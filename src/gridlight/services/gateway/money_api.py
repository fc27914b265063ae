"""The routes on money: grants, balances and statements of accounts; and what a node earned, with its receipts."""

from typing import Annotated, Final

import structlog
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from gridlight.adapters.chain.addresses import deposit_address
from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.ledger_lines import LedgerLines, Line
from gridlight.messages.accounts import Scope, deposit_number
from gridlight.messages.amounts import coins, units
from gridlight.messages.codec import Decoder
from gridlight.messages.limits import MESSAGE_BYTES_MAX
from gridlight.messages.money_api import (
    IDEMPOTENCY_HEADER,
    STATEMENT_LINES_MAX,
    BalanceResponse,
    CreditBody,
    CreditResponse,
    DepositResponse,
    EarningsResponse,
    ReceiptsResponse,
    StatementLine,
    StatementResponse,
)
from gridlight.services.gateway.account_api import own_account, read_body
from gridlight.services.gateway.accounts import Accounts
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import Answer, AnyRequest, answer, read, says
from gridlight.services.gateway.config import DepositsConfig
from gridlight.services.gateway.credits import Credits
from gridlight.services.gateway.earnings import earnings_page, vesting_view
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.own_books import OwnBooks
from gridlight.services.gateway.own_receipts import read_cursor, receipts_page
from gridlight.services.gateway.payouts import Payouts, shortened
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.words_api import words_routes

FIRST: Final = "-1.0"
After = Annotated[int, QueryParameter(ge=0, lt=2**53)]
AfterPlace = Annotated[str, QueryParameter(max_length=40)]
AfterSheet = Annotated[int, QueryParameter(ge=-1, lt=2**53)]
_credits: Final[Decoder[CreditBody]] = Decoder(CreditBody, MESSAGE_BYTES_MAX)
_log = structlog.get_logger()


class MoneyParts(Struct, frozen=True, eq=False, kw_only=True):
    """What the routes ask."""

    books: LedgerLines
    credits: Credits
    questions: Questions
    payouts: Payouts
    network_key: str
    deposits: DepositsConfig | None = None


def money_routes(
    parts: MoneyParts, accounts: Accounts, enrolments: Enrolments, admin: AdminToken, clock: SteadyClock
) -> list[HTTPRouteHandler]:
    """All of them."""
    return [
        *credit_routes(parts, accounts, admin),
        *account_routes(parts, accounts),
        *deposit_routes(parts, accounts),
        *node_routes(parts, enrolments, admin, clock),
    ]


def credit_routes(parts: MoneyParts, accounts: Accounts, admin: AdminToken) -> list[HTTPRouteHandler]:
    """How an account comes to money."""

    @post(
        "/v1/accounts/{account:str}/credits",
        status_code=200,
        responses={200: says(CreditResponse), **errors(400, 401, 403, 404, 408, 409, 413, 503)},
    )
    async def credit(request: AnyRequest, account: FromPath[str]) -> Answer:
        """Vouch for money that the account gets: `amount` in coins, as a decimal string of at most 7 places. Needs the
        admin token, and `Idempotency-Key`: the same again is granted once, anything else under it is refused with 409.
        """
        headers = dict(request.scope["headers"])
        admin.demand(headers)
        whose = await own_account(accounts, await accounts.demand(request, Scope.KEYS), account)
        said = await read_body(request, _credits, "BAD_AMOUNT")
        try:
            amount = units(said.amount)
        except ValueError as error:
            raise Refusal("BAD_AMOUNT", f"{error}.") from None
        if amount == 0:
            raise Refusal("BAD_AMOUNT", "A grant of nothing is none.")
        key = headers.get(IDEMPOTENCY_HEADER.lower().encode(), b"").decode("latin-1")
        entry = await parts.credits.grant(whose, key, amount)
        _log.info("account_credited", account=whose, amount=coins(amount), key=key, entry=entry)
        return answer(CreditResponse(account_id=whose, key=key, amount=coins(amount), entry=entry))

    return [credit]


def account_routes(parts: MoneyParts, accounts: Accounts) -> list[HTTPRouteHandler]:
    """What an account has, and where it came from and went."""

    @get(
        "/v1/accounts/{account:str}/balance",
        responses={200: says(BalanceResponse), **errors(401, 403, 404, 429, 503)},
    )
    async def balance(request: AnyRequest, account: FromPath[str]) -> Answer:
        """What the account can spend, and what is held for its requests. Needs a key of it with the scope `read`, or
        the admin token.
        """
        whose = await own_account(accounts, await accounts.demand(request, Scope.READ), account)
        funds = await parts.questions.funds(whose)
        return answer(
            BalanceResponse(account_id=whose, available=coins(funds.available), held=coins(funds.held), entry=funds.seq)
        )

    @get(
        "/v1/accounts/{account:str}/statement",
        responses={200: says(StatementResponse), **errors(400, 401, 403, 404, 429, 503)},
    )
    async def statement(request: AnyRequest, account: FromPath[str], after: After = 0) -> Answer:
        """Everything that moved the account's money, in its order, a page at a time: go on with `after=next_after`.
        The lines of all pages add up to what the last one says is available and held. As for the balance.
        """
        whose = await own_account(accounts, await accounts.demand(request, Scope.READ), account)
        funds = await parts.questions.funds(whose)
        found = await read(
            parts.books.lines, f"req:{whose}", after=after, until=funds.seq, limit=STATEMENT_LINES_MAX + 1
        )
        shown = found[:STATEMENT_LINES_MAX]
        return answer(
            StatementResponse(
                account_id=whose,
                lines=[_statement_line(line) for line in shown],
                next_after=shown[-1].seq if len(found) > len(shown) else None,
                entry=funds.seq,
                available=coins(funds.available),
                held=coins(funds.held),
            )
        )

    return [balance, statement]


def deposit_routes(parts: MoneyParts, accounts: Accounts) -> list[HTTPRouteHandler]:
    """How a requester pays in on the chain."""

    @get("/v1/accounts/{account:str}/deposit", responses={200: says(DepositResponse), **errors(401, 403, 404, 429)})
    async def deposit(request: AnyRequest, account: FromPath[str]) -> Answer:
        """Where on the chain the account is paid in to: an address with the account's own number inside. As for the
        balance.
        """
        whose = await own_account(accounts, await accounts.demand(request, Scope.READ), account)
        if parts.deposits is None:
            raise Refusal("NO_DEPOSITS")
        number = deposit_number(whose)
        address, network = deposit_address(parts.deposits.account, number), parts.deposits.passphrase
        return answer(DepositResponse(account_id=whose, address=address, number=str(number), network=network))

    return [deposit]


def node_routes(
    parts: MoneyParts, enrolments: Enrolments, admin: AdminToken, clock: SteadyClock
) -> list[HTTPRouteHandler]:
    """For the node itself, which signs a nonce as for `why`, and for administrators."""
    own = OwnBooks(enrolments, admin, clock)

    @get("/v1/nodes/{node_id:str}/earnings", responses={200: says(EarningsResponse), **errors(400, 401, 403, 404, 503)})
    async def earnings(request: AnyRequest, node_id: FromPath[str], after: AfterSheet = -1) -> Answer:
        """What the node's operator earned, got and lost, up to the sheet of receipts that was closed last; and what of
        the node's own earnings is held back, and for how long. A page at a time: go on with `after=next_after`.
        Proved as for `GET /v1/nodes/{node_id}/why`, with a signature for `gridlight.node.earnings.v1`.
        """
        node = own.demand(request, node_id)
        async with own.turns.turn():
            held = await parts.questions.held_back(node)
            page = await read(earnings_page, parts.books, held.operator, after)
            payout = await read(parts.payouts.standing, held.operator)
        return answer(
            EarningsResponse(
                node_id=node,
                operator=held.operator,
                network_key=parts.network_key,
                lines=page.lines,
                next_after=page.next_after,
                vesting=[vesting_view(day) for day in held.days],
                is_trusted=held.is_trusted,
                disputes=held.disputes,
                payout=shortened(payout),
            )
        )

    @get("/v1/nodes/{node_id:str}/receipts", responses={200: says(ReceiptsResponse), **errors(400, 401, 403, 503)})
    async def receipts(request: AnyRequest, node_id: FromPath[str], after: AfterPlace = FIRST) -> Answer:
        """The node's receipts, each with the way to the network's signature: whoever has them and the network's key
        can check them offline. A page at a time: go on with `after=next_after`. Proved as for the earnings.
        """
        node, place = own.demand(request, node_id), read_cursor(after)
        async with own.turns.turn():
            page = await read(receipts_page, parts.books, node, place)
        return answer(
            ReceiptsResponse(
                node_id=node,
                network_key=parts.network_key,
                receipts=page.receipts,
                next_after=page.next_after,
                unsigned=page.unsigned,
            )
        )

    return [earnings, receipts, *words_routes(parts, own)]


def _statement_line(line: Line) -> StatementLine:
    available, held = line.changes.get("avail", 0), line.changes.get("escrow", 0)
    return StatementLine(entry=line.seq, at_ms=line.at_ms, key=line.key, available=coins(available), held=coins(held))
