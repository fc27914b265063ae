"""What the SDK asks of a gateway about workloads, and how it reads the answers."""

import re
from typing import Final

from gridlight.client.errors import BadInput
from gridlight.client.exchange import ANSWER_BYTES_MAX, READ_TIMEOUT_S, Call
from gridlight.messages.codec import Decoder, encode
from gridlight.messages.ids import WorkloadId
from gridlight.messages.workload_api import (
    PublishBody,
    PublishedResponse,
    RuleBody,
    RuledResponse,
    WorkloadResponse,
    WorkloadsResponse,
    WorkloadView,
)

DIGEST_CHARACTERS_MIN: Final = 12
"""Of a digest that a person types: fewer could be another workload's, made to look alike."""

_NAMED: Final = re.compile(r"([a-z0-9][a-z0-9-]*)@(?:sha256:)?([0-9a-f]{1,64})")
_JSON: Final = {"Content-Type": "application/json"}

workloads_responses: Final[Decoder[WorkloadsResponse]] = Decoder(WorkloadsResponse, ANSWER_BYTES_MAX)
workload_responses: Final[Decoder[WorkloadResponse]] = Decoder(WorkloadResponse, ANSWER_BYTES_MAX)
published_responses: Final[Decoder[PublishedResponse]] = Decoder(PublishedResponse, ANSWER_BYTES_MAX)
ruled_responses: Final[Decoder[RuledResponse]] = Decoder(RuledResponse, ANSWER_BYTES_MAX)

WORKLOADS_CALL: Final = Call(method="GET", path="/v1/workloads", timeout_s=READ_TIMEOUT_S)


def workload_call(workload: WorkloadId) -> Call:
    """`GET /v1/workloads/{id}`."""
    return Call(method="GET", path=f"/v1/workloads/{workload}", timeout_s=READ_TIMEOUT_S)


def publish_call(manifest: bytes, publication: str) -> Call:
    """`POST /v1/workloads`."""
    body = encode(PublishBody(manifest=manifest, publication=publication))
    return Call(method="POST", path="/v1/workloads", timeout_s=READ_TIMEOUT_S, headers=_JSON, body=body)


def rule_call(workload: WorkloadId, *, countersignature: str | None = None, stop: str | None = None) -> Call:
    """`POST /v1/network/workloads`."""
    body = encode(RuleBody(workload=workload, countersignature=countersignature, stop=stop))
    return Call(method="POST", path="/v1/network/workloads", timeout_s=READ_TIMEOUT_S, headers=_JSON, body=body)


def chosen(listed: WorkloadsResponse, named: str) -> WorkloadView:
    """The one workload that NAME@DIGEST means; the digest may be cut off at its end. BadInput where it is not one."""
    match = _NAMED.fullmatch(named)
    if match is None or len(match[2]) < DIGEST_CHARACTERS_MIN:
        raise BadInput(
            f"{named[:200]!r} names no workload", f"write NAME@DIGEST with {DIGEST_CHARACTERS_MIN} digits or more"
        )
    found = [one for one in listed.data if one.id.startswith(f"{match[1]}@sha256:{match[2]}")]
    if len(found) != 1:
        known = ", ".join(short_id(one.id) for one in listed.data)
        raise BadInput(f"the network has no workload {named}", f"it has {known}" if known else "it has none")
    return found[0]


def short_id(workload: str) -> str:
    """As people type it."""
    name, _, digest = workload.partition("@sha256:")
    return f"{name}@{digest[:DIGEST_CHARACTERS_MIN]}"
