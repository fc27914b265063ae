"""Whether a workload may run on a node: by what its operator accepted, what the network says, and what the node can.

Pure; the same question is answered for the agent, which acts on it, and for the operator, who asks.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from msgspec import Struct

from gridlight.core.rollout import Rollout
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.manifests import Countersignature, Manifest, Permission


class Standing(StrEnum):
    """How a workload stands on one node."""

    FIRST_PARTY = "first-party"
    """It comes with the program, and was accepted by starting the node."""
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not accepted"
    CHANGED = "changed"
    """Another digest of the same name was accepted: the operator is asked again."""
    STOPPED = "stopped"
    NOT_ROLLED_OUT = "not rolled out here"
    NEEDS_CONTAINER = "needs a container"
    """The node has no engine that keeps a stranger's code in."""
    NEEDS_GPU = "needs a gpu"


class Word(Struct, frozen=True):
    """What the network said of a workload last, its signature checked."""

    said: Countersignature
    stopped_serial: int = 0
    """Of the last order to stop it that this node heard of."""


def standing(
    workload: WorkloadId,
    manifest: Manifest,
    accepted: WorkloadId | None,
    word: Word,
    node_id: NodeId,
    *,
    is_code_kept_in: bool,
) -> Standing:
    """The first reason against it counts; ACCEPTED where there is none. `accepted` is what was, of this name, and
    `is_code_kept_in` whether the node's engine proved that a stranger's code reaches nothing.
    """
    if word.said.serial <= word.stopped_serial:
        return Standing.STOPPED
    if accepted is None:
        return Standing.NOT_ACCEPTED
    if accepted != workload:
        return Standing.CHANGED
    if manifest.run.name == "image" and not is_code_kept_in:
        return Standing.NEEDS_CONTAINER
    if Permission.GPU in manifest.permissions:
        return Standing.NEEDS_GPU
    if not Rollout(workload, word.said.rollout_percent).takes(node_id):
        return Standing.NOT_ROLLED_OUT
    return Standing.ACCEPTED


def differences(before: Manifest, after: Manifest) -> Iterator[str]:
    """What an operator who accepted one manifest should know before accepting the other, line by line."""
    asked_before, asked = _facts(before), _facts(after)
    for name, value in asked.items():
        if asked_before[name] != value:
            yield f"{name}: {asked_before[name]} -> {value}"


def _facts(manifest: Manifest) -> Mapping[str, str]:
    resources = manifest.resources
    return {
        "publisher": manifest.publisher or "first-party",
        "version": manifest.version,
        "purpose": manifest.purpose,
        "sees": manifest.sees,
        "permissions": ", ".join(manifest.permissions) or "none",
        "licence": manifest.licence,
        "run": f"image {manifest.run.image}" if manifest.run.image else manifest.run.name,
        "memory": f"{resources.memory_mib} MiB",
        "cpus": str(resources.cpus),
        "scratch space": f"{resources.tmp_mib} MiB",
        "download": f"{resources.download_bytes} bytes",
        "artifacts": ", ".join(sorted(manifest.artifacts.values())),
        "settings": f"{sorted(manifest.prepare.parameters.items())} {sorted(manifest.run.parameters.items())}",
    }
