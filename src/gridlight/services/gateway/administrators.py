"""Who is an administrator: whoever sends the network's admin token."""

import hmac
from collections.abc import Mapping
from typing import Final

from gridlight.messages.accounts import KEY_PREFIX
from gridlight.services.gateway.errors import Refusal

TOKEN_CHARACTERS_MIN: Final = 16


class AdminToken:
    """Compared in constant time, and never shown."""

    def __init__(self, token: str) -> None:
        assert len(token) >= TOKEN_CHARACTERS_MIN, "an admin token of fewer characters could be guessed"
        self._token = token.encode()

    def demand(self, headers: Mapping[bytes, bytes]) -> None:
        """Refusal where the request does not carry the token."""
        token = sent_bearer(headers)
        if not token:
            raise Refusal("UNAUTHORIZED")
        if not self.matches(token):
            raise Refusal("FORBIDDEN")

    def matches(self, token: bytes) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(token, self._token)

    def is_sent(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether an administrator asks. Who sends nothing, or a requester's key, is none; a wrong token is refused."""
        if b"authorization" not in headers or sent_bearer(headers).startswith(KEY_PREFIX.encode()):
            return False
        self.demand(headers)
        return True


def sent_bearer(headers: Mapping[bytes, bytes]) -> bytes:
    """The token of `Authorization: Bearer`; empty where there is none, or another scheme."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
