"""The routes on how answers are verified: by which rules, by whom, and who had to be audited, for all to draw again."""

from typing import Annotated, Final

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter

from gridlight.adapters.signatures import is_public_key
from gridlight.adapters.store import Store
from gridlight.messages.api import (
    AuditsResponse,
    CommitsResponse,
    EpochsResponse,
    NodeResponse,
    TrustResponse,
)
from gridlight.messages.ids import NodeId
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import Answer, AnyRequest, answer, read, says
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.openapi import errors
from gridlight.services.gateway.terms import TrustTerms
from gridlight.services.gateway.verification_views import (
    check_view,
    commits_response,
    epoch_view,
    fault_view,
    trust_response,
)

LISTED: Final = 100
LISTED_MAX: Final = 1_000
EPOCHS_LISTED_MAX: Final = 10_000
COMMITS_LISTED: Final = 1_000
COMMITS_LISTED_MAX: Final = 10_000
_NUMBER_MAX: Final = 2**53 - 1

Limit = Annotated[int, QueryParameter(ge=1, le=LISTED_MAX)]
EpochsLimit = Annotated[int, QueryParameter(ge=1, le=EPOCHS_LISTED_MAX)]
CommitsLimit = Annotated[int, QueryParameter(ge=1, le=COMMITS_LISTED_MAX)]
Number = Annotated[int, QueryParameter(ge=0, le=_NUMBER_MAX)]


def verification_routes(store: Store, terms: TrustTerms, admin: AdminToken) -> list[HTTPRouteHandler]:
    """Everything but what a requester reads of the own request."""
    return [*public_routes(store, terms), *node_routes(store, admin)]


def public_routes(store: Store, terms: TrustTerms) -> list[HTTPRouteHandler]:
    """For whoever asks."""

    @get("/v1/trust", responses={200: says(TrustResponse), **errors(503)})
    async def trust() -> Answer:
        """The network's rules of trust; what each level of `verify` costs, and how often it is wrong all the same."""
        parameters = await terms.current()
        if parameters is None:
            raise Refusal("NO_COORDINATOR", "No coordinator has said yet by which rules it checks answers.")
        return answer(trust_response(parameters))

    @get("/v1/epochs", responses={200: says(EpochsResponse), **errors(400)})
    async def epochs(limit: EpochsLimit = LISTED) -> Answer:
        """The newest epochs. A commitment is BLAKE2b of 32 bytes over the secret that decides what is audited; it is
        published before the epoch begins, and the secret when nothing depends on it any more.
        """
        found = await read(store.epochs, limit)
        return answer(EpochsResponse([epoch_view(epoch) for epoch in found]))

    @get("/v1/epochs/{epoch:int}/commits", responses={200: says(CommitsResponse), **errors(400, 404, 409)})
    async def commits(epoch: FromPath[int], after: Number = 0, limit: CommitsLimit = COMMITS_LISTED) -> Answer:
        """The committed answers of an epoch whose secret is revealed, in their order, after the commit `after`.

        An answer had to be audited if and only if `draw * 1000000 >> 64 < audit_ppm`, where `draw` is BLAKE2b of 8
        bytes over `audit|<commit>`, keyed with the secret's bytes, read as a little-endian integer.
        """
        found = await read(store.epoch, epoch) if 0 <= epoch <= _NUMBER_MAX else None
        if found is None:
            raise Refusal("UNKNOWN_EPOCH")
        if found.secret is None:
            raise Refusal("EPOCH_NOT_REVEALED")
        return answer(commits_response(epoch, await read(store.commits_of_epoch, epoch, after, limit), limit))

    return [trust, epochs, commits]


def node_routes(store: Store, admin: AdminToken) -> list[HTTPRouteHandler]:
    """How nodes do, with the evidence for administrators."""

    @get("/v1/nodes/{node_id:str}", responses={200: says(NodeResponse), **errors(400, 401, 403, 404)})
    async def node(request: AnyRequest, node_id: FromPath[str]) -> Answer:
        """One node and its reputation; with the admin token its newest faults and checks, too."""
        is_admin = admin.is_sent(dict(request.scope["headers"]))
        return answer(await read(_node, store, _node_id(node_id), is_admin=is_admin))

    @get("/v1/network/audits", responses={200: says(AuditsResponse), **errors(400, 401, 403)})
    async def audits(request: AnyRequest, limit: Limit = LISTED, node: FromQuery[str | None] = None) -> Answer:
        """The newest checks: of all nodes, or those that one made or went through. Needs the admin token."""
        admin.demand(dict(request.scope["headers"]))
        found = await read(store.checks, limit, None if node is None else _node_id(node))
        return answer(AuditsResponse([check_view(check) for check in found]))

    return [node, audits]


def _node_id(text: str) -> NodeId:
    if not is_public_key(text):
        raise Refusal("BAD_NODE_ID")
    return NodeId(text)


def _node(store: Store, node_id: NodeId, *, is_admin: bool) -> NodeResponse:
    node = store.node(node_id)
    if node is None:
        raise Refusal("UNKNOWN_NODE")
    if not is_admin:
        return NodeResponse(node)
    return NodeResponse(
        node,
        faults=[fault_view(fault) for fault in store.faults(node_id, LISTED)],
        checks=[check_view(check) for check in store.checks(LISTED, node_id)],
    )
