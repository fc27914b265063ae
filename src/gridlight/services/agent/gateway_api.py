"""What an agent asks of a gateway over HTTP: to join the network, and the artifacts of a workload.

The standard library's client, in a thread: these calls are rare, and a node's memory is its owner's.
"""

import asyncio
import base64
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from http.client import HTTPException
from importlib.metadata import version
from threading import Thread
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import psutil
from msgspec import UNSET

from gridlight.adapters.blobs import Blobs, BlobTooLarge, DigestMismatch
from gridlight.adapters.certificates import check_certificate
from gridlight.adapters.clock import wall_s
from gridlight.adapters.manifests import SignedWorkload
from gridlight.adapters.proxies import proxy_for
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.successions import split_carried
from gridlight.messages import codec
from gridlight.messages.api import (
    ChallengeResponse,
    EnrolmentResponse,
    ErrorResponse,
    NetworkResponse,
    NodeResponse,
    WhyResponse,
)
from gridlight.messages.envelope import (
    EARNINGS_DOMAIN,
    ENROLMENT_DOMAIN,
    NONCE_HEADER,
    REASONS_DOMAIN,
    SIGNATURE_HEADER,
)
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.money_api import AbsencesResponse, EarningsResponse, ReceiptsResponse, WordsResponse
from gridlight.messages.nodes import EnrolNode
from gridlight.messages.workload_api import WorkloadResponse, WorkloadsResponse

_TIMEOUT_S: Final = 15.0
_ARTIFACT_TIMEOUT_S: Final = 60.0
_ANSWER_BYTES_MAX: Final = 1024 * 1024
_LISTING_BYTES_MAX: Final = 8 * 1024 * 1024
_CHUNK_BYTES: Final = 256 * 1024
_MIB: Final = 1024 * 1024
_ASK_AGAIN: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""Beside all from 500 on: a gateway whose coordinator is away, or that is overloaded, is asked again."""

T = TypeVar("T")


async def apart(call: Callable[[], T]) -> T:
    """Make a blocking call in a thread of its own, which a process that ends does not wait for."""
    settled: Future[T] = Future()

    def work() -> None:
        if not settled.set_running_or_notify_cancel():
            return
        try:
            settled.set_result(call())
        except BaseException as error:  # noqa: BLE001  (raised where it is awaited)
            settled.set_exception(error)

    Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(settled)


def signed_workload(found: WorkloadResponse) -> SignedWorkload:
    """What there is to check of it."""
    return SignedWorkload(
        workload=found.workload.id,
        manifest=found.manifest,
        publication=found.publication or "",
        countersignature=found.countersignature,
    )


class GatewayUnreachable(Exception):
    """Nobody answers at the network's URL, or not in time; try again."""


class NotAGateway(GatewayUnreachable):
    """Something answers at the network's URL, and not as a gateway does: a hotel's log-in page, perhaps."""


class GatewayRefused(Exception):
    """The gateway answered, and the answer is no."""


class GatewayApi:
    """One network's gateway, as an agent sees it. Blocking."""

    def __init__(self, network_url: str) -> None:
        if not network_url.startswith(("http://", "https://")):
            raise ValueError(f"--network {network_url!r} is not a URL: write it as http://HOST:PORT")
        self.url = network_url.rstrip("/")
        proxy = proxy_for(network_url)
        proxies = {} if proxy is None else {urlsplit(network_url).scheme: proxy}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
        self.date = ""
        """What time the last answer said it was, as HTTP says it."""

    def enrol(
        self,
        node: SigningKey,
        carried: str,
        endorsement: str | None = None,
        attestation: str | None = None,
    ) -> EnrolmentResponse:
        """Prove the node's key and get credentials for the bus. GatewayUnreachable or GatewayRefused.

        `carried` is the operator's certificate, and holds, with the successions below it.
        """
        certificate, successions = split_carried(carried)
        challenge = self._post("/v1/nodes/challenge", b"", {}, ChallengeResponse)
        enrolment = EnrolNode(
            node_id=NodeId(node.public),
            operator=check_certificate(certificate, NodeId(node.public), now_ms=wall_s() * 1_000).operator,
            nonce=challenge.nonce,
            agent_version=version("gridlight"),
            cpus=os.cpu_count() or 1,
            memory_mib=psutil.virtual_memory().total // _MIB,
            endorsement=endorsement,
            certificate=certificate,
            attestation=UNSET if attestation is None else attestation,
            successions=successions or UNSET,
        )
        body = codec.encode(enrolment)
        signature = base64.b64encode(node.sign(ENROLMENT_DOMAIN, body)).decode()
        return self._post("/v1/nodes", body, {SIGNATURE_HEADER: signature}, EnrolmentResponse)

    def why(self, node: SigningKey) -> WhyResponse:
        """Why the node does not get tasks, as the network counted it. GatewayUnreachable or GatewayRefused."""
        return self._own(node, "why", REASONS_DOMAIN, WhyResponse)

    def earnings(self, node: SigningKey, after: int) -> EarningsResponse:
        """What its operator earned on the sheets after one. GatewayUnreachable or GatewayRefused."""
        return self._own(node, f"earnings?after={after}", EARNINGS_DOMAIN, EarningsResponse)

    def receipts(self, node: SigningKey, after: str) -> ReceiptsResponse:
        """The node's receipts after one. GatewayUnreachable or GatewayRefused."""
        return self._own(node, f"receipts?after={quote(after)}", EARNINGS_DOMAIN, ReceiptsResponse)

    def words(self, node: SigningKey, after: int) -> WordsResponse:
        """The network's words on the node's runs, after a page. GatewayUnreachable or GatewayRefused."""
        return self._own(node, f"words?after={after}", EARNINGS_DOMAIN, WordsResponse)

    def absences(self, node: SigningKey, page: int, attempt: str, after: int) -> AbsencesResponse:
        """Where a run's receipt is not, or the receipt. GatewayUnreachable or GatewayRefused."""
        asked = f"absences?page={page}&attempt={quote(attempt)}&after={after}"
        return self._own(node, asked, EARNINGS_DOMAIN, AbsencesResponse)

    def _own(self, node: SigningKey, what: str, domain: bytes, kind: type[T]) -> T:
        """What the network tells the node alone, which signs a nonce to prove that it asks."""
        nonce = self._post("/v1/nodes/challenge", b"", {}, ChallengeResponse).nonce
        signature = base64.b64encode(node.sign(domain, nonce.encode("ascii"))).decode()
        request = urllib.request.Request(  # noqa: S310 (the scheme is checked above)
            f"{self.url}/v1/nodes/{node.public}/{what}", headers={NONCE_HEADER: nonce, SIGNATURE_HEADER: signature}
        )
        return self._decoded(request, self._read(request, _TIMEOUT_S, _LISTING_BYTES_MAX), kind)

    def network(self) -> NetworkResponse:
        """What the network says of itself to whoever thinks of joining. GatewayUnreachable or GatewayRefused."""
        return self._get("/v1/network", NetworkResponse)

    def node(self, node_id: NodeId) -> NodeResponse:
        """What the network knows of a node. GatewayUnreachable, or GatewayRefused where it knows none of that id."""
        return self._get(f"/v1/nodes/{node_id}", NodeResponse)

    def workloads(self) -> WorkloadsResponse:
        """What the network offers, or did. GatewayUnreachable or GatewayRefused."""
        return self._get("/v1/workloads", WorkloadsResponse)

    def workload(self, workload: WorkloadId) -> WorkloadResponse:
        """One workload with the signatures over it, none of them checked. GatewayUnreachable or GatewayRefused."""
        return self._get(f"/v1/workloads/{workload}", WorkloadResponse)

    def fetch(self, digest: str, blobs: Blobs, *, bytes_max: int, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Get an artifact by its SHA-256 into the cache, from where an earlier try broke off.

        GatewayUnreachable, GatewayRefused, or the cache's own errors: BlockingIOError where another process gets it.
        """
        with blobs.held(digest):
            if blobs.verified_path(digest) is not None:
                return
            try:
                is_whole = self._fetch_rest(digest, blobs, bytes_max, is_wanted)
                if is_whole:
                    blobs.finish(digest)
            except BlobTooLarge as error:
                raise GatewayRefused(f"{self.url}: {error}") from error
            except DigestMismatch as error:  # what came is dropped: the next try begins anew
                raise GatewayUnreachable(f"{self.url}: {error}") from error
            if not is_whole:
                raise GatewayUnreachable(f"{self.url}: {digest} broke off after {blobs.part_bytes(digest)} bytes")

    def _fetch_rest(self, digest: str, blobs: Blobs, bytes_max: int, is_wanted: Callable[[], bool]) -> bool:
        """Whether all that was announced came."""
        count = blobs.part_bytes(digest)
        request = urllib.request.Request(f"{self.url}/v1/blobs/sha256:{digest}")  # noqa: S310 (checked above)
        if count:
            request.add_header("Range", f"bytes={count}-")
        try:
            with self._opener.open(request, timeout=_ARTIFACT_TIMEOUT_S) as answer:
                if answer.status != HTTPStatus.PARTIAL_CONTENT and count:
                    blobs.drop_part(digest)
                    count = 0
                length = answer.headers.get("Content-Length")
                announced = None if length is None else count + int(length)
                while is_wanted() and (chunk := answer.read1(_CHUNK_BYTES)):
                    count = blobs.append(digest, chunk, bytes_max=bytes_max)
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return True  # all of it came before this process was ended
            raise _refusal(request.full_url, error) from error
        except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise GatewayUnreachable(f"no gateway answers at {request.full_url}: {reason}") from error
        return is_wanted() and announced in (None, count)

    def _get(self, path: str, kind: type[T]) -> T:
        request = urllib.request.Request(self.url + path)  # noqa: S310 (checked above)
        return self._decoded(request, self._read(request, _TIMEOUT_S, _LISTING_BYTES_MAX), kind)

    def _post(self, path: str, body: bytes, headers: dict[str, str], kind: type[T]) -> T:
        request = urllib.request.Request(  # noqa: S310 (the scheme is checked above)
            self.url + path, data=body, method="POST", headers={"Content-Type": "application/json", **headers}
        )
        return self._decoded(request, self._read(request, _TIMEOUT_S, _ANSWER_BYTES_MAX), kind)

    def _decoded(self, request: urllib.request.Request, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise NotAGateway(f"what answers at {request.full_url} is no gateway: {error}") from error

    def _read(self, request: urllib.request.Request, timeout_s: float, bytes_max: int) -> bytes:
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                self.date = answer.headers.get("Date", "")
                data: bytes = answer.read(bytes_max + 1)
        except urllib.error.HTTPError as error:
            raise _refusal(request.full_url, error) from error
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise GatewayUnreachable(f"no gateway answers at {request.full_url}: {reason}") from error
        if len(data) > bytes_max:
            raise GatewayRefused(f"{request.full_url} answered with more than {bytes_max} bytes")
        return data


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    try:
        with error:
            body = error.read(_ANSWER_BYTES_MAX)
        said = msgspec.json.decode(body, type=ErrorResponse).error
        text = f"{said.code}: {said.message} {said.hint}"
    except (msgspec.MsgspecError, UnicodeDecodeError, HTTPException, OSError):
        text = f"HTTP {error.code}"
    is_asked_again = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _ASK_AGAIN
    kind = GatewayUnreachable if is_asked_again else GatewayRefused
    return kind(f"{url}: {text}")
