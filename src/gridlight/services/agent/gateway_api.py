"""What an agent asks of a gateway over HTTP: to join the network, and the artifacts of a workload.

The standard library's client, in a thread: these calls are rare, and a node's memory is its owner's.
"""

import base64
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from importlib.metadata import version
from typing import Final

import msgspec
import psutil

from gridlight.adapters.blobs import Blobs
from gridlight.adapters.signatures import SigningKey
from gridlight.messages import codec
from gridlight.messages.api import ChallengeResponse, EnrolmentResponse, ErrorResponse
from gridlight.messages.envelope import ENROLMENT_DOMAIN, SIGNATURE_HEADER
from gridlight.messages.ids import NodeId
from gridlight.messages.nodes import EnrolNode

_TIMEOUT_S: Final = 15.0
_ARTIFACT_TIMEOUT_S: Final = 60.0
_ANSWER_BYTES_MAX: Final = 1024 * 1024
_MIB: Final = 1024 * 1024


class GatewayUnreachable(Exception):
    """Nobody answers at the network's URL, or not in time; try again."""


class GatewayRefused(Exception):
    """The gateway answered, and the answer is no."""


class GatewayApi:
    """One network's gateway, as an agent sees it. Blocking."""

    def __init__(self, network_url: str) -> None:
        if not network_url.startswith(("http://", "https://")):
            raise ValueError(f"--network {network_url!r} is not a URL: write it as http://HOST:PORT")
        self._url = network_url.rstrip("/")

    def enrol(self, node: SigningKey, operator: SigningKey) -> EnrolmentResponse:
        """Prove the node's key and get credentials for the bus. GatewayUnreachable or GatewayRefused."""
        challenge = msgspec.json.decode(self._post("/v1/nodes/challenge", b"", {}), type=ChallengeResponse)
        enrolment = EnrolNode(
            node_id=NodeId(node.public),
            operator=operator.public,
            nonce=challenge.nonce,
            agent_version=version("gridlight"),
            cpus=os.cpu_count() or 1,
            memory_mib=psutil.virtual_memory().total // _MIB,
        )
        body = codec.encode(enrolment)
        signature = base64.b64encode(node.sign(ENROLMENT_DOMAIN, body)).decode()
        answer = self._post("/v1/nodes", body, {SIGNATURE_HEADER: signature})
        return msgspec.json.decode(answer, type=EnrolmentResponse)

    def fetch(self, digest: str, blobs: Blobs, *, bytes_max: int) -> None:
        """Get an artifact by its SHA-256 into the cache. GatewayUnreachable, GatewayRefused, or the cache's own."""
        request = urllib.request.Request(f"{self._url}/v1/blobs/sha256:{digest}")  # noqa: S310 (checked above)
        data = self._read(request, _ARTIFACT_TIMEOUT_S, bytes_max)
        blobs.put(data, digest)

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(  # noqa: S310 (the scheme is checked above)
            self._url + path, data=body, method="POST", headers={"Content-Type": "application/json", **headers}
        )
        return self._read(request, _TIMEOUT_S, _ANSWER_BYTES_MAX)

    def _read(self, request: urllib.request.Request, timeout_s: float, bytes_max: int) -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
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
    with error:
        body = error.read(_ANSWER_BYTES_MAX)
    try:
        said = msgspec.json.decode(body, type=ErrorResponse).error
        text = f"{said.code}: {said.message} {said.hint}"
    except msgspec.MsgspecError:
        text = f"HTTP {error.code}"
    # A gateway whose coordinator is away, or that is overloaded, is asked again.
    kind = GatewayUnreachable if error.code >= 500 else GatewayRefused
    return kind(f"{url}: {text}")
