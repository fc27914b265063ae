"""The routes on the network's words: what it promised a node, and that it did not keep it."""

from functools import lru_cache
from typing import Annotated, Final, Protocol

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from gridlight.adapters.ledger_lines import LedgerLines
from gridlight.messages.money_api import AbsencesResponse, WordsResponse
from gridlight.services.gateway.answers import Answer, AnyRequest, answer, read, says
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.own_books import OwnBooks
from gridlight.services.gateway.own_words import PAGES_HELD_MAX, absences_page, page_of, words_page

AfterPage = Annotated[int, QueryParameter(ge=-1, lt=2**53)]
Page = Annotated[int, QueryParameter(ge=0, lt=2**53)]
Attempt = Annotated[str, QueryParameter(max_length=16)]


class BooksToTell(Protocol):
    """What the routes ask."""

    @property
    def books(self) -> LedgerLines:
        """The ledger's tables, and those of words."""

    @property
    def network_key(self) -> str:
        """The network's public key."""


def words_routes(parts: BooksToTell, own: OwnBooks) -> list[HTTPRouteHandler]:
    """For the node itself, as its earnings."""
    held: Final = lru_cache(PAGES_HELD_MAX)(lambda page: page_of(parts.books, page))

    @get("/v1/nodes/{node_id:str}/words", responses={200: says(WordsResponse), **errors(400, 401, 403, 503)})
    async def words(request: AnyRequest, node_id: FromPath[str], after: AfterPage = -1) -> Answer:
        """The network's signed word on each of the node's runs that came in time, within seconds of the result: each
        has a receipt by `due_ms`, or the network owes it. A page at a time: go on with `after=next_after`. Proved as
        for the earnings.
        """
        node = own.demand(request, node_id)
        async with own.turns.turn():
            found, next_after = await read(words_page, parts.books, held, node, after)
            newest = await read(parts.books.newest_words)
        return answer(
            WordsResponse(
                node_id=node, network_key=parts.network_key, words=found, next_after=next_after, newest=newest
            )
        )

    @get("/v1/nodes/{node_id:str}/absences", responses={200: says(AbsencesResponse), **errors(400, 401, 403, 404, 503)})
    async def absences(
        request: AnyRequest, node_id: FromPath[str], page: Page, attempt: Attempt, after: AfterPage = -1
    ) -> Answer:
        """Of a run on which the node has the network's word: sheet by sheet that its receipt is not there, or the
        receipt. With the word, they prove that the network owes it. Go on with `after=next_after`. Proved as for the
        earnings.
        """
        node = own.demand(request, node_id)
        async with own.turns.turn():
            found = await read(absences_page, parts.books, node, page, attempt, after)
        return answer(
            AbsencesResponse(
                node_id=node,
                network_key=parts.network_key,
                absences=found.absences,
                receipt=found.receipt,
                next_after=found.next_after,
            )
        )

    return [words, absences]
