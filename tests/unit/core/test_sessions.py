"""What an agent makes of the network's word on whose session stands."""

import pytest
from tests.unit.core.world import node_id, session_id

from gridlight.core.sessions import PAUSES_MS, TWIN_TOLD_MS, Sessions, Twin
from gridlight.messages.nodes import SessionStands

OWN, OTHER = session_id(1), session_id(2)


def stands(session: str, refused: str | None = None) -> SessionStands:
    return SessionStands(node_id=node_id(1), session=session, refused=refused)


def opened() -> Sessions:
    sessions = Sessions()
    sessions.opened(OWN)
    return sessions


def test_nothing_is_answered_before_the_network_took_the_session() -> None:
    sessions = opened()
    before = sessions.is_taken

    assert sessions.hear(0, stands(OWN)) is None
    assert (before, sessions.is_taken) == (False, True)
    sessions.opened(OTHER)
    assert not sessions.is_taken, "a new connection is taken anew"
    assert sessions.twin(0) is None


def test_whoever_goes_on_remembers_for_a_while_that_another_one_tried() -> None:
    sessions = opened()

    assert sessions.hear(10, stands(OWN, refused=OTHER)) is Twin.KEPT
    assert sessions.is_taken
    assert sessions.hear(20, stands(OWN)) is None
    assert sessions.twin(9 + TWIN_TOLD_MS) is Twin.KEPT
    assert sessions.twin(10 + TWIN_TOLD_MS) is None
    assert sessions.pause_ms() == 0


def test_whoever_is_refused_waits_longer_each_time_until_it_is_taken() -> None:
    sessions = opened()
    pauses = []
    for _ in range(len(PAUSES_MS) + 1):
        assert sessions.hear(0, stands(OTHER, refused=OWN)) is Twin.REFUSED
        pauses.append(sessions.pause_ms())

    assert not sessions.is_taken
    assert tuple(pauses) == (*PAUSES_MS, PAUSES_MS[-1])
    assert sessions.twin(10 * TWIN_TOLD_MS) is Twin.REFUSED, "as long as it is so"
    assert sessions.hear(0, stands(OWN)) is None
    assert (sessions.twin(0), sessions.pause_ms()) == (None, 0)


@pytest.mark.parametrize("refused", [None, session_id(3)])
def test_what_is_said_to_others_with_the_same_key_changes_nothing(refused: str | None) -> None:
    sessions = opened()

    assert sessions.hear(0, stands(OTHER, refused=refused)) is None
    assert (sessions.is_taken, sessions.twin(0)) == (False, None)
