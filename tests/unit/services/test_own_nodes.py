from pathlib import Path

import pytest

from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.endorsements import endorsed_tier, read_endorsement
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.trust import Tier
from gridlight.services.own_nodes import CannotEndorse, OwnNode, endorse_node, id_of_node, own_nodes


@pytest.fixture
def keys(tmp_path: Path) -> NetworkKeys:
    return NetworkKeys.create(tmp_path / "keys")


def tier_of(node: OwnNode, network_key: str) -> Tier:
    return endorsed_tier(read_endorsement(node.data / "endorsement", node.node_id), node.node_id, network_key)


def test_own_nodes_are_endorsed_before_they_run(tmp_path: Path, keys: NetworkKeys) -> None:
    made = own_nodes(tmp_path, keys, nodes=2, references=1)

    assert [node.name for node in made] == ["agent 1", "agent 2", "reference 1"]
    assert [node.data.relative_to(tmp_path / "agents") for node in made] == [Path("1"), Path("2"), Path("reference-1")]
    assert [tier_of(node, keys.network_public) for node in made] == [Tier.TRUSTED, Tier.TRUSTED, Tier.REFERENCE]
    assert [node.is_reference for node in made] == [False, False, True]


def test_each_has_an_operator_of_its_own(tmp_path: Path, keys: NetworkKeys) -> None:
    made = own_nodes(tmp_path, keys, nodes=3, references=2)

    assert len({node.node_id for node in made}) == 5
    assert len({(node.data / "operator.nk").read_text() for node in made}) == 5


def test_they_are_the_same_nodes_when_the_network_starts_again(tmp_path: Path, keys: NetworkKeys) -> None:
    before = own_nodes(tmp_path, keys, nodes=2, references=1)

    assert own_nodes(tmp_path, NetworkKeys.load(keys.folder), nodes=2, references=1) == before


def test_a_folder_of_another_network_is_endorsed_anew(tmp_path: Path, keys: NetworkKeys) -> None:
    own_nodes(tmp_path, keys, nodes=1, references=0)
    others = NetworkKeys.create(tmp_path / "other" / "keys")

    [node] = own_nodes(tmp_path, others, nodes=1, references=0)

    assert tier_of(node, others.network_public) is Tier.TRUSTED


def test_a_node_that_joins_by_hand_is_endorsed_by_its_id(tmp_path: Path, keys: NetworkKeys) -> None:
    node_id = id_of_node(tmp_path / "node")

    assert endorsed_tier(endorse_node(tmp_path, node_id, "reference"), node_id, keys.network_public) is Tier.REFERENCE
    assert id_of_node(tmp_path / "node") == node_id


@pytest.mark.parametrize("node_id", ["", "U1", "U" + "A" * 55, "é" * 56, "x" * 10_000])
def test_what_is_no_node_is_not_endorsed(tmp_path: Path, keys: NetworkKeys, node_id: str) -> None:
    with pytest.raises(CannotEndorse, match="is no node's id") as caught:
        endorse_node(tmp_path, node_id, "trusted")

    assert len(str(caught.value)) < 150


def test_a_folder_that_is_no_networks_endorses_nobody(tmp_path: Path) -> None:
    node_id = SigningKey.generate().public

    with pytest.raises(CannotEndorse, match="holds no network's keys"):
        endorse_node(tmp_path, node_id, "trusted")
    assert list(tmp_path.iterdir()) == []


def test_a_networks_key_that_is_damaged_is_named(tmp_path: Path, keys: NetworkKeys) -> None:
    (keys.folder / "network.nk").write_text("junk")

    with pytest.raises(CannotEndorse, match=r"network\.nk does not hold a key"):
        endorse_node(tmp_path, SigningKey.generate().public, "trusted")
