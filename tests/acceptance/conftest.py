"""The networks that tests share: one that is only asked, and one that is disturbed and comes back by itself.

They end with the last test of this folder: idle as they are, the rest of the run would wait for them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.stand import Network, gridlight, running

NODES = 7


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    """The demo's photos by file name, from the cache or fetched into it."""
    ran = gridlight("setup", "--json", timeout_s=170)
    assert ran.returncode == 0, ran.stderr
    return {Path(path).name: Path(path) for path in json.loads(ran.stdout)["photos"]}


@pytest.fixture(scope="session")
def bus(photos: dict[str, Path]) -> Path:
    """The photo of a bus and people."""
    return photos["bus.jpg"]


@pytest.fixture(scope="package")
def network(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Seven nodes, of which nobody kills or freezes anything."""
    with running(tmp_path_factory.mktemp("network"), NODES) as one:
        yield one


@pytest.fixture(scope="package")
def disturbed_network(photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Seven nodes for tests that kill and freeze."""
    with running(tmp_path_factory.mktemp("disturbed"), NODES) as one:
        yield one


@pytest.fixture
def disturbed(disturbed_network: Network, bus: Path) -> Network:
    """The network that is killed at, after every node has come back from what the last test did."""
    disturbed_network.settle(bus)
    return disturbed_network
