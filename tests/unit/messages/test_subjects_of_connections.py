"""What a node calls its connection, and what is read of such a name."""

import pytest
from tests.unit.core.world import node_id, session_id

from gridlight.messages.subjects import node_connection, session_of


def test_a_connections_name_holds_its_session() -> None:
    assert session_of(node_connection(node_id(1), session_id(7))) == session_id(7)


@pytest.mark.parametrize("name", ["", "gw0123456789ab", f"agent {node_id(1)}", f"agent {node_id(1)} {'g' * 16}"])
def test_other_names_hold_none(name: str) -> None:
    assert session_of(name) is None
