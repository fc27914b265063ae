"""Which node asks for its own books, and that few of them do at once."""

from typing import Final

from gridlight.adapters.clock import SteadyClock
from gridlight.adapters.signatures import is_public_key
from gridlight.messages.envelope import EARNINGS_DOMAIN, NONCE_HEADER
from gridlight.messages.ids import NodeId
from gridlight.services.gateway.administrators import AdminToken
from gridlight.services.gateway.answers import AnyRequest
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.turns import Turns
from gridlight.services.gateway.why_api import signature_of

READERS_MAX: Final = 2
"""Of nodes' books at once: keys cost nothing, and a page of them is thousands of rows."""
ASKING_MAX: Final = 16
"""Those that read, and those that wait until they may."""


class OwnBooks:
    """Which node asks for its own books; few of them at once."""

    def __init__(self, enrolments: Enrolments, admin: AdminToken, clock: SteadyClock) -> None:
        self.turns = Turns(READERS_MAX, ASKING_MAX, "Too many nodes read their books at once.")
        self._enrolments = enrolments
        self._admin = admin
        self._clock = clock

    def demand(self, request: AnyRequest, node_id: str) -> NodeId:
        """The node. Refusal where it is neither the node itself that asks, nor an administrator."""
        if not is_public_key(node_id):
            raise Refusal("BAD_NODE_ID")
        headers, node, now_ms = dict(request.scope["headers"]), NodeId(node_id), self._clock.now_ms()
        if not self._admin.is_sent(headers):
            nonce = headers.get(NONCE_HEADER.lower().encode())
            self._enrolments.demand_node(now_ms, node, nonce, signature_of(headers), EARNINGS_DOMAIN)
        return node
