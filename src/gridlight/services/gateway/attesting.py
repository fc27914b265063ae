"""Whom issuers vouch for: checks attestations as nodes bring them, and keeps issuers' status lists fresh.

What an issuer's list says anew goes to the coordinator, so that a node that is in loses its place, too. So does, in a
network that requires attestations, how old the list is: an old one does not say whose word was taken back since.
"""

import asyncio
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog
from msgspec import UNSET, Struct, UnsetType

from gridlight.adapters.attestations import BadAttestation, check_attestation, issuer_named, read_status
from gridlight.adapters.clock import wall_s
from gridlight.messages.attestations import DEVICES_OF_LEVEL, STATUS_CHARACTERS_MAX, TrustedIssuer
from gridlight.messages.operators import INDICES_MAX, AttestationsHeld, AttestationsRevoked, Attested, Hold
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.outbox import Outbox

STALE_S: Final = 3_600
"""Nobody becomes trusted by a list that was not seen for longer."""
LOST_S: Final = 24 * 3_600
"""Nobody is trusted by one that was not seen for longer."""
FETCH_S_MAX: Final = 10.0

_log = structlog.get_logger()


class StatusList(Struct):
    """One issuer's list as it was last seen."""

    revoked: frozenset[int] = frozenset()
    issued_s: int = 0
    seen_s: int | None = None

    def hold(self, since_s: int, now_s: int) -> Hold | None:
        """What its age means; that of one that was never seen counts from `since_s`."""
        age_s = now_s - (since_s if self.seen_s is None else self.seen_s)
        if age_s > LOST_S:
            return Hold.STATUS_LOST
        return Hold.STATUS_STALE if age_s > STALE_S else None


class Attestations:
    """The issuers that a network believes."""

    def __init__(
        self,
        issuers: tuple[TrustedIssuer, ...],
        *,
        network: str,
        is_required: bool,
        refresh_s: float,
        outbox: Outbox,
    ) -> None:
        self._issuers = {one.iss: one for one in issuers}
        self._lists = {one.iss: StatusList() for one in issuers}
        self._network = network
        self._is_required = is_required
        self._refresh_s = refresh_s
        self._outbox = outbox
        self._since_s = wall_s()
        self._told: dict[str, Hold | None] = {}
        """By issuer: which hold the coordinator heard of last, from this gateway."""

    def checked(self, text: str | UnsetType, keys: tuple[str, ...], now_s: int) -> Attested | UnsetType:
        """What is known of the operator, who proved one of these keys to be the others' heir; none where nobody did.

        A false word is refused, as with certificates.
        """
        if isinstance(text, UnsetType) or not self._issuers:
            if self._is_required:
                raise Refusal("ATTESTATION_MISSING")
            return UNSET
        if not keys:
            raise Refusal("BAD_ATTESTATION", "An attestation needs a certificate of the operator that it is about.")
        try:
            issuer = self._issuers.get(issuer_named(text))
            if issuer is None:
                raise Refusal("BAD_ATTESTATION", "This network does not believe the attestation's issuer.")
            claims = check_attestation(text, issuer, network=self._network, operators=keys, now_s=now_s)
        except BadAttestation as bad:
            raise Refusal("BAD_ATTESTATION", f"The attestation does not hold: {bad}.") from None
        listed = self._lists[issuer.iss]
        if listed.seen_s is None:
            raise Refusal("ATTESTATION_STATUS_UNKNOWN")
        if claims.status.idx in listed.revoked:
            raise Refusal("ATTESTATION_REVOKED")
        return Attested(
            issuer=claims.iss,
            nullifier=claims.nul,
            level=claims.lvl,
            devices_max=min(claims.dev_max, DEVICES_OF_LEVEL[claims.lvl]),
            index=claims.status.idx,
            expires_ms=claims.exp * 1_000,
            hold=Hold.LEVEL_0 if self._is_required and claims.lvl == 0 else UNSET,
        )

    def announcements(self) -> list[AttestationsRevoked | AttestationsHeld]:
        """All that is revoked or held, for a coordinator that may not have heard."""
        revoked = [event for iss, listed in self._lists.items() for event in _told(iss, listed.revoked)]
        return [*revoked, *(AttestationsHeld(issuer=iss, hold=hold) for iss, hold in self._told.items())]

    async def keep(self) -> None:
        """Read the lists again and again. Never returns."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._refresh_s)

    async def refresh(self) -> None:
        """Read all of them once. One that cannot be read stays as it was, and grows old."""
        for issuer in self._issuers.values():
            await self._refresh(issuer)
        self.tell_ages(wall_s())

    def tell_ages(self, now_s: int) -> None:
        """Tell the coordinator of each list whose age means something else than it heard of last."""
        for iss, listed in self._lists.items() if self._is_required else ():
            hold = listed.hold(self._since_s, now_s)
            if listed.seen_s is None and hold is None:
                continue  # another gateway may have seen it, and before that it was told of
            if iss in self._told and self._told[iss] is hold:
                continue
            self._told[iss] = hold
            self._outbox.add(AttestationsHeld(issuer=iss, hold=hold))
            if hold is not None:
                _log.warning("status_list_old", issuer=iss, hold=hold.value)

    async def _refresh(self, issuer: TrustedIssuer) -> None:
        before = self._lists[issuer.iss]
        try:
            async with asyncio.timeout(FETCH_S_MAX):
                text = await _fetched(issuer.status_uri)
            read = read_status(text, issuer, now_s=wall_s(), newest_s=before.issued_s)
        except (OSError, TimeoutError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
            _log.warning("status_list_not_read", issuer=issuer.iss, error=str(error)[:200])
            return
        for event in _told(issuer.iss, read.revoked - before.revoked):
            _log.info("attestations_revoked", issuer=issuer.iss, count=len(event.indices))
            self._outbox.add(event)
        self._lists[issuer.iss] = StatusList(read.revoked, read.issued_s, wall_s())


def _told(iss: str, revoked: frozenset[int]) -> list[AttestationsRevoked]:
    indices = sorted(revoked)
    return [
        AttestationsRevoked(issuer=iss, indices=tuple(indices[start : start + INDICES_MAX]))
        for start in range(0, len(indices), INDICES_MAX)
    ]


async def _fetched(uri: str) -> str:
    """OSError, ValueError, or an error of httpx, where it does not come, or too much of it."""
    if uri.startswith("file://"):
        data: bytes | bytearray = await asyncio.to_thread(_file_read, Path(urlsplit(uri).path))
    else:
        # The address stands in the administrator's issuers.toml; what an attestation says of it is never fetched. So
        # nobody outside chooses whom the gateway calls, and a redirect, which would, is not followed.
        data = bytearray()
        trusted = await asyncio.to_thread(httpx.create_ssl_context)
        plain = {"Accept-Encoding": "identity"}  # nothing may grow as it is unpacked
        async with (
            httpx.AsyncClient(verify=trusted, follow_redirects=False) as client,
            client.stream("GET", uri, headers=plain) as response,
        ):
            response.raise_for_status()
            async for chunk in response.aiter_raw():
                data += chunk
                if len(data) > STATUS_CHARACTERS_MAX:
                    break
    if len(data) > STATUS_CHARACTERS_MAX:
        raise ValueError(f"more than {STATUS_CHARACTERS_MAX} bytes")
    return data.decode("ascii").strip()


def _file_read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(STATUS_CHARACTERS_MAX + 1)
