"""The network's words on workloads, as a gateway tells them once it has checked the signatures."""

from hashlib import sha256

from gridlight.messages.ids import WorkloadId
from gridlight.messages.trust import Comparison
from gridlight.messages.workloads import WorkloadApproved, WorkloadStopped

END_MS = 10_000_000_000
EXACT = Comparison(name="exact", parameters={})
MANIFEST = b'{"name":"stranger"}'
STRANGER = WorkloadId(f"stranger@sha256:{sha256(MANIFEST).hexdigest()}")
"""A third party's workload; the core looks at its manifest's digest only."""


def approved(
    *,
    workload: WorkloadId = STRANGER,
    manifest: bytes = MANIFEST,
    percent: int = 100,
    serial: int = 1,
    expires_ms: int = END_MS,
) -> WorkloadApproved:
    """Publisher and network have signed it."""
    return WorkloadApproved(
        workload=workload,
        manifest=manifest,
        publication="said.signed",
        countersignature="said.signed",
        rollout_percent=percent,
        serial=serial,
        expires_ms=expires_ms,
        comparison=EXACT,
    )


def stopped(*, workload: WorkloadId = STRANGER, serial: int = 2) -> WorkloadStopped:
    """The network ordered to stop it."""
    return WorkloadStopped(workload=workload, order="said.signed", serial=serial)
