"""Parts of a gateway with nothing outside: keys, a workload, jobs and replies as they pass through it."""

from collections.abc import Callable

import pytest

from gridlight.adapters.signatures import SigningKey, blake3_digest
from gridlight.messages.codec import NodeReply, encode
from gridlight.messages.envelope import REPLY_DOMAIN
from gridlight.messages.ids import AssignmentId, GatewayId, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import JobSubmitted, Picture, SendAssignment
from gridlight.messages.results import Detection, ResultSubmitted, RunTiming, encode_detections
from gridlight.messages.tasks import Assignment, AssignmentAcknowledged
from gridlight.services.gateway.dispatch import Dispatch
from gridlight.services.gateway.inputs import KeptInputs
from gridlight.services.gateway.jobs import OpenJobs, new_job_id
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.replies import SignedReply
from gridlight.workloads.contract import Manifest, catalogue

GATEWAY = GatewayId("gw0123456789ab")
TENSOR = b"\x01\x02\x03" * 100
OUTPUT = encode_detections([Detection(class_id=6, score=9_300, box=(10, 20, 300, 400))])


class Node:
    """A node's side of the protocol: its key, and how it signs."""

    def __init__(self) -> None:
        self.key = SigningKey.generate()
        self.node_id = NodeId(self.key.public)

    def acknowledgement(self, assignment_id: AssignmentId) -> AssignmentAcknowledged:
        return AssignmentAcknowledged(assignment_id=assignment_id, node_id=self.node_id, eta_ms=500)

    def result(self, assignment_id: AssignmentId, output: bytes = OUTPUT) -> ResultSubmitted:
        return ResultSubmitted(
            assignment_id=assignment_id,
            node_id=self.node_id,
            output_digest=blake3_digest(output),
            output_bytes=len(output),
            timing=RunTiming(queue=0, infer=30),
        )

    def signed(self, reply: NodeReply, body: bytes = b"") -> SignedReply:
        message = encode(reply)
        return SignedReply(message, self.key.sign(REPLY_DOMAIN, message), body)


class Gateway:
    """The gateway's dispatching side, and the bookkeeping that it reports to."""

    def __init__(self, workload: WorkloadId, manifest: Manifest) -> None:
        self.workload = workload
        self.manifest = manifest
        self.jobs = OpenJobs()
        self.outbox = Outbox()
        self.metrics = Metrics("test")
        self.inputs = KeptInputs(self.metrics)
        self.dispatch = Dispatch(GATEWAY, jobs=self.jobs, inputs=self.inputs, outbox=self.outbox, metrics=self.metrics)
        self._assignments = 0

    def submitted(self, *, deadline_ms: int = 4_000, tensor: bytes = TENSOR, is_public: bool = False) -> JobSubmitted:
        return JobSubmitted(
            job_id=new_job_id(),
            gateway_id=GATEWAY,
            workload=self.workload,
            deadline_ms=deadline_ms,
            input_digest=blake3_digest(tensor),
            input_bytes=len(tensor),
            picture=Picture(width=810, height=1080),
            threshold=2_500,
            is_public=is_public,
        )

    def open_job(self, now_ms: int = 0) -> JobId:
        submitted = self.submitted()
        self.jobs.open(now_ms, submitted, self.manifest, TENSOR)
        return submitted.job_id

    def order(self, job_id: JobId, node: Node, *, tensor: bytes = TENSOR) -> SendAssignment:
        """What the coordinator says."""
        self._assignments += 1
        assignment = Assignment(
            assignment_id=AssignmentId(f"{self._assignments:016x}"),
            workload=self.workload,
            deadline_ms=3_000,
            input_digest=blake3_digest(tensor),
            input_bytes=len(tensor),
            probe_seed=7,
        )
        return SendAssignment(job_id=job_id, gateway_id=GATEWAY, node_id=node.node_id, assignment=assignment)

    def rejected(self, reason: str) -> float:
        value = self.metrics.registry.get_sample_value("gridlight_replies_rejected_total", {"reason": reason})
        return value or 0.0


@pytest.fixture
def workload() -> WorkloadId:
    return next(iter(catalogue()))


@pytest.fixture
def manifest(workload: WorkloadId) -> Manifest:
    return catalogue()[workload]


@pytest.fixture
async def gateway(workload: WorkloadId, manifest: Manifest) -> Gateway:
    return Gateway(workload, manifest)


@pytest.fixture
def new_node() -> Callable[[], Node]:
    return Node


@pytest.fixture
def node() -> Node:
    return Node()
