"""Pi's platform, app to user: a payment is announced, paid on the chain with its identifier as memo, and completed.

One at a time for the whole app. What was announced and not completed is listed, so that nothing is forgotten.
"""

from typing import Final

import httpx
from msgspec import Raw, Struct

from gridlight.adapters.chain.amounts import to_decimal
from gridlight.adapters.chain.calls import ChainUnreachable, call, certificates
from gridlight.adapters.chain.transactions import MEMO_BYTES_MAX
from gridlight.messages.codec import Decoder, ProtocolViolation, encode

DEADLINE_S: Final = 20.0


class PiPayment(Struct, frozen=True):
    """What the platform says of a payment."""

    identifier: str
    user_uid: str
    to_address: str


class PiRefusal(Exception):
    """The platform answered, and does not do it; its code."""


class _Incomplete(Struct):
    incomplete_server_payments: list[PiPayment]


class _Refusal(Struct):
    error: str = ""


_payments: Final[Decoder[PiPayment]] = Decoder(PiPayment)
_incomplete: Final[Decoder[_Incomplete]] = Decoder(_Incomplete)
_refusals: Final[Decoder[_Refusal]] = Decoder(_Refusal)


class PiPlatform:
    """The platform as one app sees it. ChainUnreachable where nothing is known; PiRefusal where it said no."""

    def __init__(self, url: str, api_key: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._url: Final = url.rstrip("/")
        self._deadline_s: Final = deadline_s
        headers = {"Authorization": f"Key {api_key}"}
        self._client: Final = httpx.AsyncClient(verify=certificates(), headers=headers, timeout=deadline_s)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def incomplete(self) -> list[PiPayment]:
        """Announced by this app, and neither completed nor cancelled; the platform allows one."""
        body = await self._ask("GET", "/v2/payments/incomplete_server_payments")
        try:
            return _incomplete.decode(body).incomplete_server_payments
        except ProtocolViolation as violation:
            raise ChainUnreachable("the platform's list of payments cannot be read") from violation

    async def announce(self, uid: str, units: int, memo: str) -> PiPayment:
        """A payment that is to come. The amount goes as a decimal of 7 places, since a float would round it."""
        amount = Raw(to_decimal(units).encode())
        payment = {"amount": amount, "memo": memo, "metadata": {}, "uid": uid}
        body = await self._ask("POST", "/v2/payments", encode({"payment": payment}))
        try:
            announced = _payments.decode(body)
        except ProtocolViolation as violation:
            raise ChainUnreachable("the platform's payment cannot be read") from violation
        if not 1 <= len(announced.identifier.encode()) <= MEMO_BYTES_MAX:
            raise PiRefusal("identifier_too_long")
        return announced

    async def complete(self, identifier: str, digest: str) -> None:
        """It was paid by this transaction."""
        await self._ask("POST", f"/v2/payments/{identifier}/complete", encode({"txid": digest}))

    async def cancel(self, identifier: str) -> None:
        """It is not going to be paid."""
        await self._ask("POST", f"/v2/payments/{identifier}/cancel", b"{}")

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {} if body is None else {"Content-Type": "application/json"}
        status, answer = await call(
            self._client, method, f"{self._url}{path}", deadline_s=self._deadline_s, content=body, headers=headers
        )
        if status == httpx.codes.OK:
            return answer
        if not httpx.codes.is_client_error(status):
            raise ChainUnreachable(f"the platform answers {status}")
        try:
            code = _refusals.decode(answer).error
        except ProtocolViolation:
            code = ""
        raise PiRefusal(code or f"status {status}")
