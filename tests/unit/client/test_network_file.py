"""The network file and the token beside it."""

from pathlib import Path

import pytest

from gridlight.client.errors import BadInput
from gridlight.client.network_file import read_admin_token, read_network_file

WRITTEN = """{"url": "http://127.0.0.1:8080", "nats_url": "nats://127.0.0.1:4222", "processes": [
  {"role": "nats", "pid": 10}, {"role": "coordinator", "pid": 11}, {"role": "gateway", "pid": 12},
  {"role": "agent", "pid": 13, "node_id": "UA", "data": "/data/agents/0"}, {"role": "agent", "pid": 14}]}"""


def test_agents_are_found_by_their_node(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(WRITTEN)

    network = read_network_file(path)

    assert network.url == "http://127.0.0.1:8080"
    assert {node_id: agent.pid for node_id, agent in network.agents().items()} == {"UA": 13}


@pytest.mark.parametrize("text", ["", "{}", '{"url": 3}', WRITTEN.replace("coordinator", "boss")])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "network.json"
    path.write_text(text)

    with pytest.raises(BadInput, match="not a network file"):
        read_network_file(path)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"network\.json"):
        read_network_file(tmp_path / "network.json")
    with pytest.raises(BadInput, match=r"admin\.token"):
        read_admin_token(tmp_path / "network.json")
