"""What a node says counts only where it is the node's own word, in turn, and bound to what it sent."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.unit.services.gateway.conftest import GATEWAY, OUTPUT, Gateway, Node

from gridlight.core.attempts import ACK_SOFT_MS
from gridlight.core.placement import HEDGE_SHARE
from gridlight.messages import subjects
from gridlight.messages.codec import GatewayEvent, assignments, node_controls
from gridlight.messages.ids import AssignmentId
from gridlight.messages.jobs import CancelAssignment, JobState, Outcome
from gridlight.messages.nodes import CancelWork
from gridlight.messages.results import Detection, ResultSubmitted, encode_detections
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    AssignmentUndeliverable,
    DeclineReason,
    FailureCode,
    UndeliverableReason,
)
from gridlight.services.gateway.dispatch import PATIENCE_MS, TOGETHER_MS_MAX, TOGETHER_SHARE, Dispatch, patience_ms
from gridlight.services.gateway.replies import SignedReply


def sent_to(gateway: Gateway, node: Node) -> tuple[AssignmentId, str]:
    """An assignment on its way, and the inbox that the node answers to."""
    order = gateway.order(gateway.open_job(), node)
    assert gateway.dispatch.send(1_000, order) is not None
    assignment_id = order.assignment.assignment_id
    return assignment_id, subjects.inbox(GATEWAY, assignment_id)


def acknowledged_by(gateway: Gateway, node: Node) -> tuple[AssignmentId, str]:
    assignment_id, inbox = sent_to(gateway, node)
    gateway.dispatch.receive(1_040, inbox, node.signed(node.acknowledgement(assignment_id)))
    (event,) = gateway.outbox.take()
    assert isinstance(event, AssignmentAcknowledged)
    return assignment_id, inbox


def bad_reply(assignment_id: AssignmentId, node: Node) -> list[GatewayEvent]:
    reason = UndeliverableReason.BAD_REPLY
    return [AssignmentUndeliverable(assignment_id=assignment_id, node_id=node.node_id, reason=reason)]


async def test_an_assignment_goes_to_its_node_with_input_and_inbox(gateway: Gateway, node: Node) -> None:
    order = gateway.order(gateway.open_job(), node)

    publication = gateway.dispatch.send(0, order)

    assert publication is not None
    assert publication.subject == subjects.task(node.node_id, order.assignment.assignment_id)
    assert publication.reply == subjects.inbox(GATEWAY, order.assignment.assignment_id)
    assert publication.body == b"\x01\x02\x03" * 100
    assert assignments.decode(publication.message) == order.assignment


async def test_an_order_that_comes_twice_is_sent_once(gateway: Gateway, node: Node) -> None:
    order = gateway.order(gateway.open_job(), node)

    assert gateway.dispatch.send(0, order) is not None
    assert gateway.dispatch.send(1, order) is None
    assert gateway.outbox.take() == []


async def test_an_assignment_without_its_input_is_reported(gateway: Gateway, node: Node) -> None:
    ended = gateway.open_job()
    gateway.jobs.end(ended, Outcome(state=JobState.DONE))
    orders = [gateway.order(ended, node), gateway.order(gateway.open_job(), node, tensor=b"other")]

    assert [gateway.dispatch.send(0, order) for order in orders] == [None, None]

    events = gateway.outbox.take()
    assert [event.reason for event in events if isinstance(event, AssignmentUndeliverable)] == [
        UndeliverableReason.INPUT_GONE
    ] * 2


async def test_a_kept_input_is_sent_after_its_job_ended(gateway: Gateway, node: Node) -> None:
    job_id = gateway.open_job()
    gateway.inputs.keep(0, job_id, gateway.jobs.input(job_id), keep_ms=20_000, is_canary=False)
    gateway.jobs.end(job_id, Outcome(state=JobState.DONE))
    gateway.jobs.close(job_id)

    in_time = gateway.dispatch.send(19_999, gateway.order(job_id, node))
    too_late = gateway.dispatch.send(20_000, gateway.order(job_id, node))

    assert in_time is not None
    assert in_time.body == b"\x01\x02\x03" * 100
    assert too_late is None
    (event,) = gateway.outbox.take()
    assert isinstance(event, AssignmentUndeliverable)
    assert event.reason is UndeliverableReason.INPUT_GONE


async def test_a_kept_input_of_another_digest_is_not_sent(gateway: Gateway, node: Node) -> None:
    job_id = gateway.open_job()
    gateway.inputs.keep(0, job_id, gateway.jobs.input(job_id), keep_ms=20_000, is_canary=False)
    gateway.jobs.close(job_id)

    assert gateway.dispatch.send(0, gateway.order(job_id, node, tensor=b"other")) is None


async def test_a_cancelled_assignment_is_told_to_its_node(gateway: Gateway, node: Node) -> None:
    assignment_id, _ = sent_to(gateway, node)

    publication = gateway.dispatch.cancel(
        CancelAssignment(gateway_id=GATEWAY, node_id=node.node_id, assignment_id=assignment_id)
    )

    assert publication.subject == subjects.node_control(node.node_id)
    assert publication.reply == ""
    assert node_controls.decode(publication.message) == CancelWork(assignment_id=assignment_id)


async def test_a_node_that_is_not_there_is_reported_at_once(gateway: Gateway, node: Node) -> None:
    assignment_id, inbox = sent_to(gateway, node)

    gateway.dispatch.no_responders(inbox)
    gateway.dispatch.no_responders(inbox)
    gateway.dispatch.no_responders(subjects.inbox(GATEWAY, AssignmentId("f" * 16)))

    reason = UndeliverableReason.NO_RESPONDERS
    assert gateway.outbox.take() == [
        AssignmentUndeliverable(assignment_id=assignment_id, node_id=node.node_id, reason=reason)
    ]


async def test_ack_then_result_pass_and_the_result_carries_its_output(gateway: Gateway, node: Node) -> None:
    assignment_id, inbox = acknowledged_by(gateway, node)
    result = node.result(assignment_id)

    gateway.dispatch.receive(1_500, inbox, node.signed(result, OUTPUT))

    assert gateway.outbox.take() == [replace(result, output=OUTPUT)]
    assert gateway.metrics.registry.get_sample_value("gridlight_task_ack_seconds_sum") == pytest.approx(0.04)
    assert gateway.metrics.registry.get_sample_value("gridlight_task_result_seconds_sum") == pytest.approx(0.5)


async def test_a_result_that_comes_first_acknowledges_its_assignment_as_well(gateway: Gateway, node: Node) -> None:
    assignment_id, inbox = sent_to(gateway, node)
    result = node.result(assignment_id)

    gateway.dispatch.receive(1_090, inbox, node.signed(result, OUTPUT))
    gateway.dispatch.receive(1_095, inbox, node.signed(node.acknowledgement(assignment_id)))

    ack = AssignmentAcknowledged(assignment_id=assignment_id, node_id=node.node_id, eta_ms=0, elapsed_ms=90)
    assert gateway.outbox.take() == [ack, replace(result, output=OUTPUT)]
    assert gateway.rejected("out_of_turn") == 1, "nothing is left to acknowledge"
    assert gateway.metrics.registry.get_sample_value("gridlight_task_ack_seconds_sum") == pytest.approx(0.09)
    assert gateway.metrics.registry.get_sample_value("gridlight_task_result_seconds_sum") == pytest.approx(0.09)


async def test_a_decline_and_a_failure_pass_in_their_turn(gateway: Gateway, node: Node) -> None:
    declined, inbox = sent_to(gateway, node)
    decline = AssignmentDeclined(assignment_id=declined, node_id=node.node_id, reason=DeclineReason.NO_FREE_SLOT)
    gateway.dispatch.receive(0, inbox, node.signed(decline))
    assert gateway.outbox.take() == [decline]

    failed, inbox = acknowledged_by(gateway, node)
    failure = AssignmentFailed(assignment_id=failed, node_id=node.node_id, code=FailureCode.CANCELLED)
    gateway.dispatch.receive(0, inbox, node.signed(failure))
    assert gateway.outbox.take() == [failure]


async def test_the_last_word_on_a_cancelled_assignment_still_passes(gateway: Gateway, node: Node) -> None:
    order = gateway.order(gateway.open_job(), node)
    gateway.dispatch.send(0, order)
    assignment_id = order.assignment.assignment_id
    inbox = subjects.inbox(GATEWAY, assignment_id)
    gateway.dispatch.receive(10, inbox, node.signed(node.acknowledgement(assignment_id)))
    gateway.jobs.close(order.job_id)
    gateway.outbox.take()

    failure = AssignmentFailed(assignment_id=assignment_id, node_id=node.node_id, code=FailureCode.CANCELLED)
    gateway.dispatch.receive(20, inbox, node.signed(failure))

    assert gateway.outbox.take() == [failure]


Forgery = Callable[[Node, Node, AssignmentId], SignedReply]


def unsigned(node: Node, _: Node, assignment_id: AssignmentId) -> SignedReply:
    signed = node.signed(node.acknowledgement(assignment_id))
    return SignedReply(signed.message, None, b"")


def signed_by_another(node: Node, other: Node, assignment_id: AssignmentId) -> SignedReply:
    return other.signed(node.acknowledgement(assignment_id))


def changed_after_signing(node: Node, _: Node, assignment_id: AssignmentId) -> SignedReply:
    signed = node.signed(node.acknowledgement(assignment_id))
    assert signed.message is not None
    return SignedReply(signed.message.replace(b'"eta_ms":500', b'"eta_ms":100'), signed.signature, b"")


def in_anothers_name(_: Node, other: Node, assignment_id: AssignmentId) -> SignedReply:
    return other.signed(other.acknowledgement(assignment_id))


def replayed_from_another_assignment(node: Node, _: Node, __: AssignmentId) -> SignedReply:
    return node.signed(node.acknowledgement(AssignmentId("a" * 16)))


def without_message(node: Node, _: Node, __: AssignmentId) -> SignedReply:
    return SignedReply(None, None, b"x" * 100)


def not_json(_: Node, __: Node, ___: AssignmentId) -> SignedReply:
    return SignedReply(b"{", b"x" * 64, b"")


def far_too_long(_: Node, __: Node, ___: AssignmentId) -> SignedReply:
    return SignedReply(b" " * 100_000, b"x" * 64, b"")


def error_before_ack(node: Node, _: Node, assignment_id: AssignmentId) -> SignedReply:
    failure = AssignmentFailed(assignment_id=assignment_id, node_id=node.node_id, code=FailureCode.CANCELLED)
    return node.signed(failure)


def ack_with_a_body(node: Node, _: Node, assignment_id: AssignmentId) -> SignedReply:
    return node.signed(node.acknowledgement(assignment_id), b"smuggled")


@pytest.mark.parametrize(
    ("forgery", "reason"),
    [
        (unsigned, "bad_signature"),
        (signed_by_another, "bad_signature"),
        (changed_after_signing, "bad_signature"),
        (without_message, "bad_signature"),
        (in_anothers_name, "wrong_sender"),
        (replayed_from_another_assignment, "unknown_assignment"),
        (not_json, "malformed"),
        (far_too_long, "too_large"),
        (error_before_ack, "out_of_turn"),
        (ack_with_a_body, "malformed"),
    ],
)
async def test_a_forged_first_reply_is_counted_and_ends_the_assignment(
    gateway: Gateway, node: Node, new_node: Callable[[], Node], forgery: Forgery, reason: str
) -> None:
    assignment_id, inbox = sent_to(gateway, node)

    gateway.dispatch.receive(0, inbox, forgery(node, new_node(), assignment_id))

    assert gateway.rejected(reason) == 1
    assert gateway.outbox.take() == bad_reply(assignment_id, node)


def with_another_body(node: Node, assignment_id: AssignmentId) -> SignedReply:
    return node.signed(node.result(assignment_id), encode_detections([]))


def not_canonical(node: Node, assignment_id: AssignmentId) -> SignedReply:
    output = OUTPUT + OUTPUT  # one detection twice
    return node.signed(node.result(assignment_id, output), output)


def of_no_class(node: Node, assignment_id: AssignmentId) -> SignedReply:
    output = encode_detections([Detection(class_id=60_000, score=9_000, box=(0, 0, 1, 1))])
    return node.signed(node.result(assignment_id, output), output)


def output_in_the_message(node: Node, assignment_id: AssignmentId) -> SignedReply:
    return node.signed(replace(node.result(assignment_id), output=OUTPUT), OUTPUT)


def second_ack(node: Node, assignment_id: AssignmentId) -> SignedReply:
    return node.signed(node.acknowledgement(assignment_id))


@pytest.mark.parametrize(
    ("forgery", "reason"),
    [
        (with_another_body, "digest_mismatch"),
        (not_canonical, "bad_output"),
        (of_no_class, "bad_output"),
        (output_in_the_message, "malformed"),
        (second_ack, "out_of_turn"),
    ],
)
async def test_a_bad_result_is_counted_and_ends_the_assignment(
    gateway: Gateway,
    node: Node,
    forgery: Callable[[Node, AssignmentId], SignedReply],
    reason: str,
) -> None:
    assignment_id, inbox = acknowledged_by(gateway, node)

    gateway.dispatch.receive(0, inbox, forgery(node, assignment_id))

    assert gateway.rejected(reason) == 1
    assert gateway.outbox.take() == bad_reply(assignment_id, node)


async def test_a_replayed_result_counts_once_and_changes_nothing_the_second_time(gateway: Gateway, node: Node) -> None:
    assignment_id, inbox = acknowledged_by(gateway, node)
    reply = node.signed(node.result(assignment_id), OUTPUT)

    gateway.dispatch.receive(0, inbox, reply)
    gateway.dispatch.receive(1, inbox, reply)

    assert [type(event) for event in gateway.outbox.take()] == [ResultSubmitted]
    assert gateway.rejected("out_of_turn") == 1


async def test_a_reply_to_what_was_never_sent_is_only_counted(gateway: Gateway, node: Node) -> None:
    assignment_id = AssignmentId("b" * 16)

    gateway.dispatch.receive(
        0, subjects.inbox(GATEWAY, assignment_id), node.signed(node.acknowledgement(assignment_id))
    )

    assert gateway.rejected("unknown_assignment") == 1
    assert gateway.outbox.take() == []


async def test_what_is_remembered_of_sent_assignments_is_bounded(gateway: Gateway, node: Node) -> None:
    gateway.dispatch = Dispatch(
        GATEWAY,
        jobs=gateway.jobs,
        inputs=gateway.inputs,
        outbox=gateway.outbox,
        metrics=gateway.metrics,
        assignments_max=1,
    )
    forgotten, inbox = sent_to(gateway, node)
    sent_to(gateway, node)

    gateway.dispatch.receive(0, inbox, node.signed(node.acknowledgement(forgotten)))

    assert gateway.rejected("unknown_assignment") == 1


@pytest.mark.parametrize(
    ("deadline_ms", "elapsed_ms", "eta_ms", "waits_ms"),
    [
        (4_000, 5, 60, 245),  # until 250 ms after sending: its result is there by then
        (4_000, 245, 1, 25),
        (4_000, 5, 245, 25),  # whose result takes longer
        (4_000, 700, 0, 25),
        (800, 5, 60, 95),  # until an eighth of the deadline is gone, when the first hedge may be made
        (800, 5, 2_000, 25),  # which says that it will be late
    ],
)
def test_an_acknowledgement_waits_for_a_result_that_comes_soon(
    deadline_ms: int, elapsed_ms: int, eta_ms: int, waits_ms: int
) -> None:
    assert patience_ms(deadline_ms, elapsed_ms, eta_ms) == waits_ms


def test_nothing_follows_from_an_acknowledgement_while_it_waits() -> None:
    assert TOGETHER_MS_MAX + PATIENCE_MS < ACK_SOFT_MS
    assert TOGETHER_SHARE >= HEDGE_SHARE
