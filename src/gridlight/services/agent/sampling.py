"""Samples what the network counts for this node, so that its operator can ask about the last day and not only about all
time.
"""

import asyncio
from random import SystemRandom
from typing import Final

import structlog

from gridlight.adapters.samples import Samples, sampled
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.reasons import ReasonsSample
from gridlight.services.agent.gateway_api import GatewayApi, GatewayRefused, GatewayUnreachable, apart

SAMPLE_S: Final = 600.0
_JITTER: Final = 0.1
"""So that a whole fleet that started together does not ask together."""

_log = structlog.get_logger()
_random = SystemRandom()


class Sampler:
    """One sample at the start, and one every ten minutes."""

    def __init__(self, api: GatewayApi, node: SigningKey, samples: Samples) -> None:
        self._api = api
        self._node = node
        self._samples = samples

    async def keep(self) -> None:
        """Never returns."""
        while True:
            await apart(self.sample)
            await asyncio.sleep(SAMPLE_S * _random.uniform(1 - _JITTER, 1 + _JITTER))

    def sample(self) -> None:
        """Ask once. What cannot be had is done without: the node's work does not hang on it. Blocking."""
        try:
            why = self._api.why(self._node)
            workloads = tuple(sampled(one) for one in why.workloads)
            self._samples.add(ReasonsSample(network=self._api.url, at_ms=why.at_ms, workloads=workloads))
        except (GatewayUnreachable, GatewayRefused, OSError) as error:
            _log.info("reasons not sampled", error=str(error))
