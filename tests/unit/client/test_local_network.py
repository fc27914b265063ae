"""`gridlight up` as a child: what is said when it does not come up. Its good days are the acceptance tests'."""

from pathlib import Path

import pytest

from gridlight.client.local_network import LocalNetwork, NetworkNotReady, descendants


def test_a_network_that_does_not_start_says_why(tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    network = LocalNetwork(tmp_path, nodes=1000, progress=lambda *stage: stages.append(stage))

    with pytest.raises(NetworkNotReady, match="ended with status 2") as caught, network:
        pytest.fail("it must not start")

    assert "'--nodes'" in caught.value.hint
    assert stages == [("starting a network with 1000 nodes", 0, 1)]


def test_a_process_that_is_gone_has_no_descendants() -> None:
    assert descendants(2**22 + 1) == []
