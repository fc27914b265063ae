"""Who is an administrator: whoever sends the network's admin token."""

import hmac
from collections.abc import Mapping
from typing import Final

from gridlight.services.gateway.errors import Refusal

TOKEN_CHARACTERS_MIN: Final = 16


class AdminToken:
    """Compared in constant time, and never shown."""

    def __init__(self, token: str) -> None:
        assert len(token) >= TOKEN_CHARACTERS_MIN, "an admin token of fewer characters could be guessed"
        self._token = token.encode()

    def demand(self, headers: Mapping[bytes, bytes]) -> None:
        """Refusal where the request does not carry the token."""
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise Refusal("UNAUTHORIZED")
        if not hmac.compare_digest(token.strip(), self._token):
            raise Refusal("FORBIDDEN")

    def is_sent(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether an administrator asks. One who says nothing of it is a requester; a wrong token is refused."""
        if b"authorization" not in headers:
            return False
        self.demand(headers)
        return True
