"""The one place that decodes: limits, reasons, and no id or number that could do harm further in."""

import json
from typing import Any

import pytest
from tests.unit.core.world import DIGEST, WORKLOAD, job_id, node_id, session_id, submitted

from gridlight.messages import codec
from gridlight.messages.codec import (
    Decoder,
    ProtocolViolation,
    ViolationReason,
    decode_record,
    encode,
    encode_record,
)
from gridlight.messages.host import BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.ids import AssignmentId
from gridlight.messages.jobs import JobWithdrawn
from gridlight.messages.limits import BATCH_MESSAGES_MAX, MESSAGE_BYTES_MAX, PROBES_MAX, WORKLOADS_PER_OFFER_MAX
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import AssignmentAcknowledged

RESULT: dict[str, Any] = {
    "type": "task.result.v1",
    "assignment_id": "0" * 16,
    "node_id": node_id(1),
    "output_digest": DIGEST,
    "output_bytes": 12,
    "timing": {"queue": 1, "infer": 80},
    "probes": [1, -2],
}
OFFER: dict[str, Any] = {
    "type": "offer.changed.v1",
    "node_id": node_id(1),
    "session": session_id(1),
    "offers": [{"workload": WORKLOAD, "slots": 1, "benchmark_ms": 70}],
}
ENROLMENT: dict[str, Any] = {
    "type": "node.enrol.v1",
    "node_id": node_id(1),
    "operator": node_id(2),
    "nonce": "n" * 16,
    "agent_version": "0.1.0",
    "cpus": 4,
    "memory_mib": 8192,
}


def changed(message: dict[str, Any], path: str, value: object) -> bytes:
    """The message with one field, or field of a field, set to another value."""
    copy: Any = json.loads(json.dumps(message))
    place = copy
    *parents, last = path.split(".")
    for parent in parents:
        place = place[int(parent) if isinstance(place, list) else parent]
    place[last] = value
    return json.dumps(copy).encode()


def refusal(decoder: Decoder[Any], data: bytes) -> ViolationReason:
    """Why these bytes are not taken."""
    with pytest.raises(ProtocolViolation) as caught:
        decoder.decode(data)
    assert str(caught.value).startswith(caught.value.reason.value)
    return caught.value.reason


def test_a_message_is_encoded_on_one_line_and_comes_back() -> None:
    message = codec.node_replies.decode(json.dumps(RESULT, indent=1).encode())

    data = encode(message)

    assert isinstance(message, ResultSubmitted)
    assert b"\n" not in data
    assert codec.node_replies.decode(data) == message


def test_a_field_of_a_later_minor_version_is_ignored() -> None:
    assert codec.node_replies.decode(changed(RESULT, "colour", "blue")) == codec.node_replies.decode(encode(RESULT))


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"{", b'{"type":1}', b"[" * 10_000, b'"\xd8"', b'"\\ud800"']
)
def test_what_is_no_message_is_malformed(data: bytes) -> None:
    assert refusal(codec.node_replies, data) is ViolationReason.MALFORMED


def test_an_open_part_gets_its_shape_or_is_malformed() -> None:
    assert codec.shaped({"queue": 1, "infer": 80}, RunTiming) == RunTiming(queue=1, infer=80)
    with pytest.raises(ProtocolViolation) as violation:
        codec.shaped({"queue": -1, "infer": 80}, RunTiming)
    assert violation.value.reason is ViolationReason.MALFORMED


@pytest.mark.parametrize("kind", ["task.result.v2", "job.end.v1", ""])
def test_a_type_that_its_sender_may_not_say_is_malformed(kind: str) -> None:
    assert refusal(codec.node_replies, changed(RESULT, "type", kind)) is ViolationReason.MALFORMED


def test_a_message_longer_than_a_header_may_be_is_too_large_before_it_is_read() -> None:
    data = changed(RESULT, "filling", "x" * MESSAGE_BYTES_MAX)

    assert refusal(codec.node_replies, data) is ViolationReason.TOO_LARGE
    assert refusal(codec.node_replies, b"\xff" * (MESSAGE_BYTES_MAX + 1)) is ViolationReason.TOO_LARGE
    assert refusal(codec.node_replies, b"\xff" * MESSAGE_BYTES_MAX) is ViolationReason.MALFORMED


def test_a_list_holds_a_thousand_messages_and_no_more() -> None:
    events = [JobWithdrawn(job_id=job_id(number)) for number in range(BATCH_MESSAGES_MAX + 1)]

    assert codec.gateway_events.decode(encode(events[:-1])) == events[:-1]
    assert refusal(codec.gateway_events, encode(events)) is ViolationReason.MALFORMED


@pytest.mark.parametrize("line", ["\n", "\r\n", " ", "\0", ".", "*", ">"])
@pytest.mark.parametrize("field", ["assignment_id", "node_id", "output_digest"])
def test_an_id_that_would_break_a_subject_or_a_header_is_malformed(field: str, line: str) -> None:
    assert refusal(codec.node_replies, changed(RESULT, field, RESULT[field] + line)) is ViolationReason.MALFORMED
    assert refusal(codec.node_replies, changed(RESULT, field, RESULT[field][:-1] + line)) is ViolationReason.MALFORMED


@pytest.mark.parametrize("path", ["session", "node_id", "offers.0.workload"])
def test_an_offer_whose_ids_end_in_a_newline_is_malformed(path: str) -> None:
    valid = {"session": session_id(1), "node_id": node_id(1), "offers.0.workload": WORKLOAD}[path]

    codec.node_offers.decode(changed(OFFER, path, valid))
    assert refusal(codec.node_offers, changed(OFFER, path, valid + "\n")) is ViolationReason.MALFORMED


@pytest.mark.parametrize("gateway", ["gateway\n", "", "a.b", "x" * 65])
def test_a_gateways_id_is_one_token_of_a_subject(gateway: str) -> None:
    event = json.loads(encode(submitted(job_id(1))))

    assert refusal(codec.gateway_events, b"[%s]" % changed(event, "gateway_id", gateway)) is ViolationReason.MALFORMED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("timing.queue", -1),
        ("timing.queue", 10**30),
        ("timing.infer", -1),
        ("timing.infer", 600_001),
        ("output_bytes", -1),
        ("output_bytes", 2 * 1024 * 1024 + 1),
        ("probes", [10**30]),
        ("probes", [-(10**30)]),
        ("probes", [1.5]),
        ("probes", [0] * (PROBES_MAX + 1)),
    ],
)
def test_a_results_numbers_are_bounded(path: str, value: object) -> None:
    assert refusal(codec.node_replies, changed(RESULT, path, value)) is ViolationReason.MALFORMED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("offers", [OFFER["offers"][0]] * (WORKLOADS_PER_OFFER_MAX + 1)),
        ("offers.0.slots", -1),
        ("offers.0.slots", 257),
        ("offers.0.benchmark_ms", 0),
        ("offers.0.benchmark_ms", 600_001),
    ],
)
def test_an_offers_numbers_are_bounded(path: str, value: object) -> None:
    assert refusal(codec.node_offers, changed(OFFER, path, value)) is ViolationReason.MALFORMED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("agent_version", "1.0\0"),
        ("agent_version", "1.0\n"),
        ("agent_version", "ü"),
        ("agent_version", "1" * 65),
        ("nonce", "short"),
        ("nonce", "n" * 257),
        ("operator", "O" + "A" * 55),
        ("operator", node_id(2) + "\n"),
        ("cpus", 0),
        ("cpus", 4097),
        ("memory_mib", 0),
        ("memory_mib", 2**27),
    ],
)
def test_an_enrolments_fields_are_bounded_and_can_be_stored(path: str, value: object) -> None:
    codec.enrolments.decode(encode(ENROLMENT))
    assert refusal(codec.enrolments, changed(ENROLMENT, path, value)) is ViolationReason.MALFORMED


def test_the_largest_result_a_node_may_send_can_be_journalled() -> None:
    result = codec.node_replies.decode(changed(RESULT, "probes", [2**53, -(2**53)]))
    assert isinstance(result, ResultSubmitted)

    assert decode_record(encode_record([result])) == [result]


def test_a_record_keeps_the_order_and_the_types_of_its_events() -> None:
    events: list[codec.Event] = [
        CoordinatorStarted(seed=2**63 - 1, workloads=(WORKLOAD,)),
        submitted(job_id(1)),
        AssignmentAcknowledged(assignment_id=AssignmentId("0" * 16), node_id=node_id(1), eta_ms=5),
        TimePassed(),
        BusReconnected(),
    ]

    assert decode_record(encode_record(events)) == events


def test_an_empty_record_is_a_record() -> None:
    assert decode_record(encode_record([])) == []
