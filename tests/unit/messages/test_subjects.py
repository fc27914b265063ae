"""Subject names."""

import msgspec
import pytest
from tests.unit.core.world import GATEWAY, node_id

from gridlight.messages import subjects
from gridlight.messages.ids import AssignmentId, AssignmentIdField

NODE = node_id(1)
ASSIGNMENT = AssignmentId("0123456789abcdef")


def matches(pattern: str, subject: str) -> bool:
    """NATS' own rule for wildcards."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        return len(given) >= len(wanted) and given[: len(wanted) - 1] == wanted[:-1]
    return len(given) == len(wanted) and all(one in ("*", other) for one, other in zip(wanted, given, strict=True))


def test_subjects_are_as_the_protocol_says() -> None:
    assert subjects.task(NODE, ASSIGNMENT) == f"task.{NODE}.{ASSIGNMENT}"
    assert subjects.node_control(NODE) == f"task.{NODE}.control"
    assert subjects.offer(NODE) == f"offer.{NODE}"
    assert subjects.inbox(GATEWAY, ASSIGNMENT) == f"_INBOX.{GATEWAY}.{ASSIGNMENT}"
    assert subjects.control_events(subjects.SHARD_DEFAULT) == "control.s0.event"
    assert subjects.control_effects("s1", GATEWAY) == f"control.s1.gateway.{GATEWAY}"
    assert subjects.control_announcements("s1") == "control.s1.gateways"
    assert subjects.payer_words("s1") == "control.s1.payer"
    assert subjects.payer_answers("s1") == "control.s1.payer.told"
    assert subjects.account_connects("A1") == "$SYS.ACCOUNT.A1.CONNECT"
    assert subjects.account_disconnects("A1") == "$SYS.ACCOUNT.A1.DISCONNECT"


def test_a_node_hears_its_own_tasks_and_nobody_elses() -> None:
    for subject in (subjects.task(NODE, ASSIGNMENT), subjects.node_control(NODE)):
        assert matches(subjects.node_tasks(NODE), subject)
        assert not matches(subjects.node_tasks(node_id(2)), subject)


def test_a_gateway_hears_the_replies_to_its_own_assignments() -> None:
    assert matches(subjects.inboxes(GATEWAY), subjects.inbox(GATEWAY, ASSIGNMENT))


def test_the_coordinator_hears_every_offer() -> None:
    assert matches(subjects.OFFERS, subjects.offer(NODE))


def test_no_assignment_can_be_taken_for_the_control_subject() -> None:
    _, _, last = subjects.node_control(NODE).split(".")

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(last, AssignmentIdField)
