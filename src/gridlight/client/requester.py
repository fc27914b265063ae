"""The requester's two doors to a network: `Gridlight` and `AsyncGridlight`, alike but for `await`.

Every call has a deadline for the whole of it, not only for each read, so that an answer that trickles ends too.
"""

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx

from gridlight.adapters.clock import monotonic_ms
from gridlight.client.errors import GridlightError
from gridlight.client.exchange import (
    COMMITS_LISTED,
    LISTED,
    MODELS_CALL,
    NODES_CALL,
    TRUST_CALL,
    Call,
    audits_call,
    audits_responses,
    check_url,
    commits_call,
    commits_responses,
    detect_call,
    detect_responses,
    epochs_call,
    epochs_responses,
    is_loopback,
    models_responses,
    node_call,
    node_responses,
    nodes_responses,
    read_answer,
    request_call,
    request_views,
    run_call,
    trust_responses,
    why_call,
    why_responses,
)
from gridlight.client.money_calls import dry_run_call, dry_runs
from gridlight.client.transport import authorization, check_progress, overdue, timeouts, transport_error
from gridlight.client.waiting import WAIT_S, ViewListener, Waiting
from gridlight.messages.api import (
    AuditsResponse,
    CommitsResponse,
    DetectResponse,
    EpochsResponse,
    ModelsResponse,
    NodeResponse,
    NodesResponse,
    Privacy,
    RequestView,
    TrustResponse,
    WhyResponse,
)
from gridlight.messages.codec import Decoder
from gridlight.messages.ids import JobId, NodeId
from gridlight.messages.money_api import DryRunResponse
from gridlight.messages.trust import Assurance

URL_DEFAULT: Final = "http://127.0.0.1:8080"
CONNECTIONS_MAX = 64

A = TypeVar("A")


class Gridlight:
    """A requester that waits for each answer. Safe to share between threads; close it, or use it in a `with`."""

    def __init__(self, url: str = URL_DEFAULT, *, token: str | None = None, api_key: str | None = None) -> None:
        """`token` is an administrator's, which a pin to a node needs, `api_key` an account's. Where neither is given,
        GRIDLIGHT_API_KEY is, or the key of a network that this user runs at this address.
        """
        self.url = check_url(url)
        self._http = httpx.Client(
            base_url=self.url,
            headers=authorization(self.url, token, api_key),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=not is_loopback(self.url),
            follow_redirects=False,
        )

    def detect(
        self,
        photo: bytes | Path,
        *,
        threshold: float | None = None,
        deadline_ms: int | None = None,
        model: str | None = None,
        node: NodeId | None = None,
        verify: Assurance | None = None,
        privacy: Privacy | None = None,
    ) -> DetectResponse:
        """What is in the photo and where, in its pixels. Left out: the network's defaults (0.25, 4,000 ms, sampled)."""
        call = detect_call(
            photo,
            threshold=threshold,
            deadline_ms=deadline_ms,
            model=model,
            node=node,
            verify=verify,
            privacy=privacy,
        )
        return self.exchange(call, detect_responses)

    def run(
        self,
        workload: str,
        photo: bytes | Path,
        *,
        threshold: float | None = None,
        deadline_ms: int | None = None,
        node: NodeId | None = None,
        verify: Assurance | None = None,
        privacy: Privacy | None = None,
    ) -> DetectResponse:
        """What a workload, by its name or id, makes of the photo; a text recognition's answer has `lines`."""
        call = run_call(
            workload, photo, threshold=threshold, deadline_ms=deadline_ms, node=node, verify=verify, privacy=privacy
        )
        return self.exchange(call, detect_responses)

    def dry_run(
        self,
        photo: bytes | Path,
        *,
        workload: str | None = None,
        model: str | None = None,
        verify: Assurance | None = None,
    ) -> DryRunResponse:
        """What `detect`, or `run` of a workload, would cost, and whether the account can pay it; nothing is run."""
        return self.exchange(dry_run_call(photo, workload=workload, model=model, verify=verify), dry_runs)

    def request(self, job_id: JobId) -> RequestView:
        """How an earlier request stands or ended."""
        return self.exchange(request_call(job_id), request_views)

    def wait_verified(
        self, job_id: JobId, timeout_s: float = WAIT_S, *, listen: ViewListener | None = None
    ) -> RequestView:
        """How a request stands when nothing about it changes any more: final, corrected, void, unverified, or failed.

        `listen` hears of everything in between. VerificationOverdue where that takes longer.
        """
        waiting = Waiting(job_id, timeout_s, monotonic_ms(), listen)
        while True:
            try:
                view = self.exchange(waiting.call(monotonic_ms()), request_views)
            except GridlightError as error:
                waiting.bear(error)
            else:
                if waiting.is_over(view):
                    return view
            time.sleep(waiting.pause_s(monotonic_ms()))

    def nodes(self) -> NodesResponse:
        """The nodes that the network knows."""
        return self.exchange(NODES_CALL, nodes_responses)

    def models(self) -> ModelsResponse:
        """The models that a request may name."""
        return self.exchange(MODELS_CALL, models_responses)

    def trust(self) -> TrustResponse:
        """The network's rules of trust, and what each level of `verify` is worth."""
        return self.exchange(TRUST_CALL, trust_responses)

    def node(self, node_id: NodeId) -> NodeResponse:
        """One node and its reputation; an administrator sees its newest faults and checks, too."""
        return self.exchange(node_call(node_id), node_responses)

    def why(self, node_id: NodeId) -> WhyResponse:
        """Why a node did not get, finish or get paid for tasks, since it first offered; for administrators."""
        return self.exchange(why_call(node_id), why_responses)

    def audits(self, limit: int = LISTED, *, node: NodeId | None = None) -> AuditsResponse:
        """The newest checks, of all nodes or of one; for administrators."""
        return self.exchange(audits_call(limit, node), audits_responses)

    def epochs(self, limit: int = LISTED) -> EpochsResponse:
        """The newest epochs, with the secrets that are revealed."""
        return self.exchange(epochs_call(limit), epochs_responses)

    def commits(self, epoch: int, *, after: int = 0, limit: int = COMMITS_LISTED) -> CommitsResponse:
        """A page of a revealed epoch's committed answers, those after one of them."""
        return self.exchange(commits_call(epoch, after, limit), commits_responses)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def exchange(self, call: Call, decoder: Decoder[A]) -> A:
        """One call of the API that has no word of its own here."""
        ends_ms = monotonic_ms() + int(call.timeout_s * 1000)
        body = bytearray()
        try:
            with self._http.stream(
                call.method,
                call.path,
                params=call.parameters,
                headers=call.headers,
                content=call.body,
                timeout=timeouts(call),
            ) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    check_progress(self.url, call, len(body), is_overdue=monotonic_ms() > ends_ms)
        except httpx.HTTPError as error:
            raise transport_error(self.url, call, error) from error
        return read_answer(decoder, self.url, response.status_code, response.headers, bytes(body))


class AsyncGridlight:
    """A requester for asyncio, with many requests in flight at once; use it in an `async with`."""

    def __init__(
        self,
        url: str = URL_DEFAULT,
        *,
        token: str | None = None,
        api_key: str | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        """As `Gridlight`."""
        self.url = check_url(url)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=authorization(self.url, token, api_key),
            limits=httpx.Limits(max_connections=connections_max),
            trust_env=not is_loopback(self.url),
            follow_redirects=False,
        )

    async def detect(
        self,
        photo: bytes | Path,
        *,
        threshold: float | None = None,
        deadline_ms: int | None = None,
        model: str | None = None,
        node: NodeId | None = None,
        verify: Assurance | None = None,
        privacy: Privacy | None = None,
    ) -> DetectResponse:
        """What is in the photo and where, in its pixels. Left out: the network's defaults (0.25, 4,000 ms, sampled)."""
        call = detect_call(
            photo,
            threshold=threshold,
            deadline_ms=deadline_ms,
            model=model,
            node=node,
            verify=verify,
            privacy=privacy,
        )
        return await self.exchange(call, detect_responses)

    async def run(
        self,
        workload: str,
        photo: bytes | Path,
        *,
        threshold: float | None = None,
        deadline_ms: int | None = None,
        node: NodeId | None = None,
        verify: Assurance | None = None,
        privacy: Privacy | None = None,
    ) -> DetectResponse:
        """What a workload, by its name or id, makes of the photo; a text recognition's answer has `lines`."""
        call = run_call(
            workload, photo, threshold=threshold, deadline_ms=deadline_ms, node=node, verify=verify, privacy=privacy
        )
        return await self.exchange(call, detect_responses)

    async def dry_run(
        self,
        photo: bytes | Path,
        *,
        workload: str | None = None,
        model: str | None = None,
        verify: Assurance | None = None,
    ) -> DryRunResponse:
        """As `Gridlight.dry_run`."""
        return await self.exchange(dry_run_call(photo, workload=workload, model=model, verify=verify), dry_runs)

    async def request(self, job_id: JobId) -> RequestView:
        """How an earlier request stands or ended."""
        return await self.exchange(request_call(job_id), request_views)

    async def wait_verified(
        self, job_id: JobId, timeout_s: float = WAIT_S, *, listen: ViewListener | None = None
    ) -> RequestView:
        """How a request stands when nothing about it changes any more: final, corrected, void, unverified, or failed.

        `listen` hears of everything in between. VerificationOverdue where that takes longer.
        """
        waiting = Waiting(job_id, timeout_s, monotonic_ms(), listen)
        while True:
            try:
                view = await self.exchange(waiting.call(monotonic_ms()), request_views)
            except GridlightError as error:
                waiting.bear(error)
            else:
                if waiting.is_over(view):
                    return view
            await asyncio.sleep(waiting.pause_s(monotonic_ms()))

    async def nodes(self) -> NodesResponse:
        """The nodes that the network knows."""
        return await self.exchange(NODES_CALL, nodes_responses)

    async def models(self) -> ModelsResponse:
        """The models that a request may name."""
        return await self.exchange(MODELS_CALL, models_responses)

    async def trust(self) -> TrustResponse:
        """The network's rules of trust, and what each level of `verify` is worth."""
        return await self.exchange(TRUST_CALL, trust_responses)

    async def node(self, node_id: NodeId) -> NodeResponse:
        """One node and its reputation; an administrator sees its newest faults and checks, too."""
        return await self.exchange(node_call(node_id), node_responses)

    async def why(self, node_id: NodeId) -> WhyResponse:
        """Why a node did not get, finish or get paid for tasks, since it first offered; for administrators."""
        return await self.exchange(why_call(node_id), why_responses)

    async def audits(self, limit: int = LISTED, *, node: NodeId | None = None) -> AuditsResponse:
        """The newest checks, of all nodes or of one; for administrators."""
        return await self.exchange(audits_call(limit, node), audits_responses)

    async def epochs(self, limit: int = LISTED) -> EpochsResponse:
        """The newest epochs, with the secrets that are revealed."""
        return await self.exchange(epochs_call(limit), epochs_responses)

    async def commits(self, epoch: int, *, after: int = 0, limit: int = COMMITS_LISTED) -> CommitsResponse:
        """A page of a revealed epoch's committed answers, those after one of them."""
        return await self.exchange(commits_call(epoch, after, limit), commits_responses)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def exchange(self, call: Call, decoder: Decoder[A]) -> A:
        """One call of the API that has no word of its own here."""
        body = bytearray()
        try:
            async with (
                asyncio.timeout(call.timeout_s),
                self._http.stream(
                    call.method,
                    call.path,
                    params=call.parameters,
                    headers=call.headers,
                    content=call.body,
                    timeout=timeouts(call),
                ) as response,
            ):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    check_progress(self.url, call, len(body), is_overdue=False)
        except TimeoutError as error:
            raise overdue(self.url, call) from error
        except httpx.HTTPError as error:
            raise transport_error(self.url, call, error) from error
        return read_answer(decoder, self.url, response.status_code, response.headers, bytes(body))
