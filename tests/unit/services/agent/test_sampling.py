"""What an agent keeps of what the network counts for it; a network or a disk that fails costs the node nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.services.agent.test_gateway_api import NODE, Gateway

from gridlight.adapters.samples import Samples
from gridlight.messages.api import ReasonView, WhyResponse, WorkloadWhy
from gridlight.messages.codec import encode
from gridlight.messages.ids import NodeId
from gridlight.messages.reasons import SampledReasons
from gridlight.services.agent.gateway_api import GatewayApi
from gridlight.services.agent.sampling import Sampler

PATH = f"/v1/nodes/{NODE.public}/why"
DONE = ReasonView("done", 4, is_given=True, sentence="It gave its result in time.", advice="Nothing.")
WHY = WhyResponse(node_id=NodeId(NODE.public), at_ms=5, workloads=[WorkloadWhy("w", 1, 4, [DONE])])


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    gateway.answers[PATH] = (200, encode(WHY))
    yield gateway
    gateway.close()


def test_a_sample_keeps_the_counts_and_whose_they_are(gateway: Gateway, tmp_path: Path) -> None:
    samples = Samples(tmp_path / "reasons.jsonl")

    Sampler(GatewayApi(gateway.url + "/"), NODE, samples).sample()

    (sample,) = samples.read()
    assert (sample.network, sample.at_ms) == (gateway.url, 5)
    assert sample.workloads == (SampledReasons(workload="w", since_ms=1, considered=4, reasons={"done": 4}),)


@pytest.mark.parametrize("answer", [(404, b""), (503, b"{}"), (200, b"<html>")])
def test_a_network_that_does_not_tell_is_done_without(
    gateway: Gateway, tmp_path: Path, answer: tuple[int, bytes]
) -> None:
    gateway.answers[PATH] = answer
    samples = Samples(tmp_path / "reasons.jsonl")

    Sampler(GatewayApi(gateway.url), NODE, samples).sample()

    assert samples.read() == []


def test_a_folder_that_takes_no_file_is_done_without(gateway: Gateway, tmp_path: Path) -> None:
    Sampler(GatewayApi(gateway.url), NODE, Samples(tmp_path / "gone" / "reasons.jsonl")).sample()

    assert not list(tmp_path.iterdir())
