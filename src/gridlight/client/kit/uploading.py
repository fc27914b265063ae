"""Publishing: the manifest first, then each artifact that the gateway does not have, from where an upload broke off."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx

from gridlight.adapters.signatures import SigningKey
from gridlight.client.errors import AnswerUnreadable, BadInput, GridlightError, Unreachable
from gridlight.client.exchange import check_url, is_loopback, read_answer
from gridlight.client.kit.folder import blob, built, publication
from gridlight.client.requester import Gridlight
from gridlight.client.workload_calls import publish_call, published_responses
from gridlight.messages.envelope import SIGNATURE_HEADER, UPLOAD_DOMAIN
from gridlight.messages.manifests import canonical
from gridlight.messages.workload_api import PublishedResponse

CHUNK_BYTES: Final = 256 * 1024
TRIES_MAX: Final = 5
OFFSET_HEADER: Final = "Upload-Offset"
_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)

Listener = Callable[[str, int, int], None]
"""Hears of an artifact by its digest, how many bytes of it are there, and how many there will be."""


def publish(folder: Path, url: str, key: SigningKey, listen: Listener = lambda *_: None) -> PublishedResponse:
    """Bring the workload of a folder to a network. It may be called again whenever it broke off."""
    manifest = built(folder)
    if manifest.publisher != key.public:
        raise BadInput(
            f"{folder} was signed by {manifest.publisher}, and this key is {key.public}",
            "name the key that signed it, or sign it again",
        )
    call = publish_call(canonical(manifest), publication(folder))
    with Gridlight(url) as network:
        missing = network.exchange(call, published_responses).missing
        for digest in missing:
            _upload(check_url(url), key, digest, blob(folder, digest), listen)
        return network.exchange(call, published_responses)


def _upload(url: str, key: SigningKey, digest: str, path: Path, listen: Listener) -> None:
    signature = base64.b64encode(key.sign(UPLOAD_DOMAIN, digest.encode("ascii"))).decode("ascii")
    address = f"{url}/v1/blobs/sha256:{digest}"
    size = path.stat().st_size
    with httpx.Client(timeout=_TIMEOUT, trust_env=not is_loopback(url)) as http:
        for attempt in range(1, TRIES_MAX + 1):
            try:
                offset = _offset(http, address)
                listen(digest, offset, size)
                if offset == size and attempt > 1:
                    return
                headers = {SIGNATURE_HEADER: signature, OFFSET_HEADER: str(offset)}
                body = _rest(path, offset, lambda done: listen(digest, done, size))
                headers["Content-Length"] = str(size - offset)
                answer = http.put(address, content=body, headers=headers)
                if answer.is_success:
                    return
                read_answer(published_responses, url, answer.status_code, answer.headers, answer.content)
            except httpx.HTTPError as error:
                if attempt == TRIES_MAX:
                    raise Unreachable(
                        f"the upload of {digest} broke off: {str(error) or type(error).__name__}",
                        "call it again: it goes on where it broke off",
                    ) from error
            except GridlightError:
                if attempt == TRIES_MAX:
                    raise


def _offset(http: httpx.Client, address: str) -> int:
    answer = http.head(address)
    if not answer.is_success:
        raise AnswerUnreadable(f"{address} answered {answer.status_code}", "is this a Gridlight gateway?")
    return int(answer.headers.get(OFFSET_HEADER, "0"))


def _rest(path: Path, offset: int, told: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            told(file.tell())
