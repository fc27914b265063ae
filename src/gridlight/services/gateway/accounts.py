"""Who asks: the account behind an API key, what the key is for, and whether the account may ask any more now.

What is known of a key is looked up once and believed for KEY_S_MAX, so that a key that was revoked at another gateway
is refused here by then.
"""

import asyncio
import hmac
from typing import Final

import structlog
from msgspec import Struct

from gridlight.adapters.accounts import AccountBook, KnownKey
from gridlight.adapters.api_keys import ApiKey, read_api_key
from gridlight.adapters.clock import SteadyClock, monotonic_ms
from gridlight.core.quotas import DAY_MS, Quotas
from gridlight.core.rates import Rate, Rates, Taken
from gridlight.messages.accounts import Limits, Scope
from gridlight.messages.ids import AccountId
from gridlight.messages.jobs import JobSubmitted
from gridlight.services.gateway.administrators import AdminToken, sent_bearer
from gridlight.services.gateway.answers import AnyRequest, read
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.peers import FORWARDED_HEADER, peer_of, prefix_of, read_networks

KEY_S_MAX: Final = 30
KEYS_KNOWN_MAX: Final = 65_536
SAVE_S: Final = 5.0
FAILURES: Final = Rate(per_minute=60, burst=120)
"""Of unknown keys from one prefix of addresses: each costs a look into the database."""

_log = structlog.get_logger()


def account_of(job: JobSubmitted) -> AccountId | None:
    """Whose key asked for it; None for an administrator without one, and for jobs from before there were accounts."""
    return AccountId(job.account_id) if isinstance(job.account_id, str) else None


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks. An administrator may do without an account."""

    known: KnownKey | None
    is_admin: bool = False

    @property
    def account(self) -> AccountId | None:
        """To which what is asked for is put down."""
        return None if self.known is None else self.known.account.account_id

    def may_read(self, account: AccountId | None) -> bool:
        """Whether a request of this account is the caller's business."""
        return self.is_admin or (account is not None and account == self.account)

    def demand(self, scope: Scope) -> None:
        """Refusal where the key is not for this."""
        if self.is_admin or (self.known is not None and scope in self.known.key.scopes):
            return
        raise Refusal("SCOPE_MISSING", f"The API key lacks the scope `{scope}`.")


class _Held(Struct, frozen=True):
    known: KnownKey
    until_ms: int
    """Monotonic."""


class Accounts:
    """Bounded in number. `keep` saves what was counted."""

    def __init__(
        self, book: AccountBook, admin: AdminToken, clock: SteadyClock, trusted_proxies: tuple[str, ...] = ()
    ) -> None:
        self.book: Final = book
        self._admin = admin
        self._clock = clock
        self._trusted_proxies = read_networks(trusted_proxies)
        self._held: dict[str, _Held] = {}
        self._rates = Rates()
        self._failures = Rates()
        self._quotas = Quotas()

    async def demand(self, request: AnyRequest, scope: Scope) -> Caller:
        """Who asks. Refusal where nobody says so, or the key is not for this."""
        headers = dict(request.scope["headers"])
        bearer = sent_bearer(headers)
        is_admin = self._admin.matches(bearer)
        key = headers.get(b"x-api-key") or headers.get(b"apikey") or (b"" if is_admin else bearer)
        if not key and not is_admin:
            raise Refusal("NO_API_KEY")
        known = await self._known(key, request) if key else None
        caller = Caller(known=known, is_admin=is_admin)
        caller.demand(scope)
        return caller

    def spend(self, caller: Caller) -> dict[str, str]:
        """Count one request, and say in headers how many more there may be. Refusal where it is one too many."""
        if caller.known is None:
            return {}
        account, limits = caller.known.account.account_id, caller.known.account.limits
        headers: dict[str, str] = {}
        if limits.rate_per_minute is not None:
            rate = Rate(per_minute=limits.rate_per_minute, burst=limits.burst)
            taken = self._rates.take(monotonic_ms(), account, rate)
            headers = rate_headers(rate, taken)
            if not taken.is_allowed:
                wait_s = -(-taken.wait_ms // 1_000)
                raise Refusal("RATE_LIMITED", _rate_message(limits), retry_after_s=max(1, wait_s), headers=headers)
        now_ms = self._clock.now_ms()
        if not self._quotas.spend(now_ms, account, limits.requests_per_day):
            left_s = -(-(DAY_MS - now_ms % DAY_MS) // 1_000)
            raise Refusal("QUOTA_EXHAUSTED", retry_after_s=left_s, headers=headers)
        return headers

    def used_today(self, account: AccountId) -> int:
        """Requests of this day, as far as this gateway knows."""
        return self._quotas.used(self._clock.now_ms(), account)

    def forget(self, key_id: str) -> None:
        """It was revoked here: from now on it is refused."""
        self._held.pop(key_id, None)

    async def keep(self) -> None:
        """Save every few seconds what was counted. Never returns."""
        while True:
            await asyncio.sleep(SAVE_S)
            await self.save()

    async def save(self) -> None:
        """Add what was counted here to what all gateways know; what fails is tried again with the next."""
        spent = self._quotas.unsaved()
        if not spent:
            return
        try:
            totals = await read(self.book.add_usage, spent)
        except Exception as error:  # noqa: BLE001  (a database that is away has many ways to say so)
            _log.warning("usage_not_saved", error=str(error), accounts=len(spent))
            return
        for one, total in zip(spent, totals, strict=True):
            self._quotas.saved(one, total.count)

    async def _known(self, sent: bytes, request: AnyRequest) -> KnownKey:
        key = read_api_key(sent.decode("latin-1"))
        if key is None:
            raise Refusal("UNKNOWN_API_KEY", "What was sent does not have an API key's form.")
        held = self._held.get(key.key_id)
        if held is None and not self._failures.is_free(monotonic_ms(), self._prefix(request), FAILURES):
            raise Refusal("TOO_MANY_FAILURES", retry_after_s=60)
        if held is None or held.until_ms < monotonic_ms():
            held = await self._look(key, request)
        if not hmac.compare_digest(held.known.digest, key.digest):
            raise self._failed(request)
        if held.known.key.revoked_ms is not None:
            raise Refusal("API_KEY_REVOKED")
        return held.known

    async def _look(self, key: ApiKey, request: AnyRequest) -> _Held:
        now_ms = self._clock.now_ms()
        try:
            known = await read(self.book.find, key.key_id, now_ms // DAY_MS)
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001  (a database that is not there yet has many ways to say so)
            _log.warning("key_not_looked_up", error=str(error))
            raise Refusal("NOT_READY", "The accounts cannot be read at this moment.") from None
        if known is None:
            raise self._failed(request)
        self._quotas.seen(now_ms, known.account.account_id, known.used_today)
        self._held.pop(key.key_id, None)
        held = self._held[key.key_id] = _Held(known, monotonic_ms() + KEY_S_MAX * 1_000)
        if len(self._held) > KEYS_KNOWN_MAX:
            del self._held[next(iter(self._held))]
        return held

    def _failed(self, request: AnyRequest) -> Refusal:
        self._failures.take(monotonic_ms(), self._prefix(request), FAILURES)
        return Refusal("UNKNOWN_API_KEY")

    def _prefix(self, request: AnyRequest) -> str:
        """Where a request comes from. Only asked where a key fails or is new: it costs more than all else here."""
        connected = request.client.host if request.client else ""
        forwarded = [value for name, value in request.scope["headers"] if name == FORWARDED_HEADER]
        return prefix_of(peer_of(connected, forwarded, self._trusted_proxies))


def rate_headers(rate: Rate, taken: Taken) -> dict[str, str]:
    """As draft-ietf-httpapi-ratelimit-headers has them: how many at once, how many now, and when all again."""
    window_s = max(1, -(-rate.burst * rate.interval_us // 1_000_000))
    return {
        "RateLimit-Policy": f'"account";q={rate.burst};w={window_s}',
        "RateLimit": f'"account";r={taken.remaining};t={-(-taken.full_ms // 1_000)}',
    }


def _rate_message(limits: Limits) -> str:
    return f"The account may ask {limits.rate_per_minute} times a minute, and {limits.burst} times at once."
