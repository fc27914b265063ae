"""One call of an HTTP API of the chain's world: a deadline for the whole answer, and a bound on its size."""

import asyncio
import ssl
from functools import cache
from typing import Any, Final

import httpx

_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024


class ChainUnreachable(Exception):
    """No answer by the deadline, or none that can be read: nothing is known."""


@cache
def certificates() -> ssl.SSLContext:
    """Whom to trust, read once a process: that takes longer than a call."""
    return httpx.create_ssl_context()


async def call(
    client: httpx.AsyncClient, method: str, url: str, *, deadline_s: float, **options: Any
) -> tuple[int, bytes]:
    """Status and body. ChainUnreachable says what came instead; never what was sent."""
    try:
        async with asyncio.timeout(deadline_s), client.stream(method, url, **options) as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _ANSWER_BYTES_MAX:
                    raise ChainUnreachable(f"{url} answers with more than {_ANSWER_BYTES_MAX} bytes")
            return response.status_code, bytes(body)
    except TimeoutError as error:
        raise ChainUnreachable(f"{url} did not answer within {deadline_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ChainUnreachable(f"{url} did not answer: {type(error).__name__}") from error
