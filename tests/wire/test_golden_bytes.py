"""Golden bytes of each message, of the canonical detections, and of a journal record.

A line is a message exactly as it was on the wire. Lines are added, never edited: what was once said must be understood
for as long as its version is. A field that is added later stands in a line of its own, the last one of its message.
"""

import json
from pathlib import Path
from typing import Any, Union, get_args

import msgspec
import pytest

from gridlight.adapters.endorsements import endorsed_tier
from gridlight.adapters.manifests import SignedWorkload, check_signed
from gridlight.messages.codec import MESSAGE_TYPES, Decoder, Event, decode_record, encode, encode_record
from gridlight.messages.nodes import EnrolNode
from gridlight.messages.results import Detection, decode_detections, encode_detections
from gridlight.messages.trust import Tier
from gridlight.messages.workloads import WorkloadApproved

FOLDER = Path(__file__).parent
MESSAGES = (FOLDER / "messages.jsonl").read_bytes().splitlines()
DETECTIONS: list[dict[str, Any]] = [json.loads(line) for line in (FOLDER / "detections.jsonl").read_text().splitlines()]
RECORDS = [bytes.fromhex(line) for line in (FOLDER / "journal_records.hex").read_text().splitlines()]
NETWORK_KEY = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
"""Of the network that once endorsed the golden enrolment's node."""

APPROVING_KEY = "UBNEUJPTD3WOCNMQLVFEK6YWZ5TCX5YI7L764OYPJQW67GYCF57Q4YE6"
"""Of the network that once approved the golden workload."""

any_message: Decoder[msgspec.Struct] = Decoder(Union[MESSAGE_TYPES])  # noqa: UP007 - the types are only known here


def tag_of(line: bytes) -> str:
    """A message's type and version."""
    return str(json.loads(line)["type"])


def keeps(now: Any, then: Any) -> bool:
    """Whether all that was said then is said now, whatever is said beside it."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and keeps(now[key], value) for key, value in then.items())
    if isinstance(then, list):
        return len(now) == len(then) and all(keeps(one, other) for one, other in zip(now, then, strict=True))
    return bool(now == then)


@pytest.mark.parametrize("line", MESSAGES, ids=tag_of)
def test_what_was_once_said_is_understood_and_nothing_of_it_is_lost(line: bytes) -> None:
    message = any_message.decode(line)

    assert message.__struct_config__.tag == tag_of(line)
    assert keeps(json.loads(encode(message)), json.loads(line))


@pytest.mark.parametrize("line", {tag_of(line): line for line in MESSAGES}.values(), ids=tag_of)
def test_the_last_line_of_a_message_is_what_we_write_today(line: bytes) -> None:
    assert encode(any_message.decode(line)) == line


@pytest.mark.parametrize("message", MESSAGE_TYPES, ids=lambda message: message.__name__)
def test_every_field_of_every_message_stands_in_its_golden_bytes(message: type[msgspec.Struct]) -> None:
    tag = message.__struct_config__.tag
    said: set[str] = set().union(*(json.loads(line) for line in MESSAGES if tag_of(line) == tag))

    assert said == {"type", *message.__struct_fields__}


def test_an_endorsement_that_was_once_given_holds() -> None:
    [line] = [line for line in MESSAGES if b'"endorsement":"' in line]
    enrolment = any_message.decode(line)
    assert isinstance(enrolment, EnrolNode)
    assert enrolment.endorsement is not None

    assert endorsed_tier(enrolment.endorsement, enrolment.node_id, NETWORK_KEY) is Tier.TRUSTED


def test_a_workload_that_was_once_published_and_approved_still_is() -> None:
    lines = [line for line in MESSAGES if tag_of(line) == "workload.approved.v1" and b'"publication":"' in line]
    approved = any_message.decode(lines[-1])
    assert isinstance(approved, WorkloadApproved)
    assert approved.publication is not None
    signed = SignedWorkload(
        workload=approved.workload,
        manifest=approved.manifest,
        publication=approved.publication,
        countersignature=approved.countersignature,
    )

    manifest, word = check_signed(signed, APPROVING_KEY, now_ms=1_800_000_000_000)

    assert (manifest.name, word.rollout_percent, word.serial) == ("coco-crowded", 10, 3)


@pytest.mark.parametrize("golden", DETECTIONS, ids=lambda golden: golden["case"])
def test_detections_have_one_canonical_form(golden: dict[str, Any]) -> None:
    output = bytes.fromhex(golden["output"])
    detections = [
        Detection(class_id=class_id, score=score, box=(box[0], box[1], box[2], box[3]))
        for class_id, score, box in golden["detections"]
    ]

    assert encode_detections(detections) == output
    assert encode_detections(decode_detections(output)) == output
    assert sorted(map(str, decode_detections(output))) == sorted(map(str, detections))


@pytest.mark.parametrize("record", RECORDS)
def test_a_journal_that_was_once_written_can_be_read(record: bytes) -> None:
    events = decode_record(record)

    assert len(events) > 10
    assert decode_record(encode_record(events)) == events


def test_the_last_record_is_what_we_write_today() -> None:
    assert encode_record(decode_record(RECORDS[-1])) == RECORDS[-1]


def test_the_last_record_holds_every_event() -> None:
    assert {type(event) for event in decode_record(RECORDS[-1])} == set(get_args(Event))
