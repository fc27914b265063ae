"""Is this manifest the one that its id names, did its publisher sign it, and did the network? Reads and checks.

Whatever does not hold is refused with the reason; nothing of a manifest is used before all of it is checked.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gridlight.adapters.signatures import SigningKey, is_public_key
from gridlight.adapters.statements import read_statement, sign_statement
from gridlight.messages import codec
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.envelope import COUNTERSIGNATURE_DOMAIN, PUBLICATION_DOMAIN, STOP_DOMAIN
from gridlight.messages.ids import WorkloadId
from gridlight.messages.manifests import Countersignature, Manifest, Publication, StopOrder, canonical, workload_id

DAY_MS: Final = 86_400_000


class Flaw(StrEnum):
    """Why a workload is not taken."""

    UNREADABLE = "unreadable"
    CHANGED = "changed"
    UNSIGNED = "unsigned"
    EXPIRED = "expired"


class ManifestRefused(Exception):
    """The workload is not what it is said to be, or nobody said so."""

    def __init__(self, flaw: Flaw, message: str) -> None:
        super().__init__(message)
        self.flaw = flaw


class SignedWorkload(Struct, frozen=True, kw_only=True):
    """A workload with all that makes it one: its manifest's bytes, and who stands for them."""

    workload: WorkloadId
    manifest: bytes
    publication: str
    countersignature: str | None = None


def read_manifest(data: bytes, workload: WorkloadId | None = None) -> Manifest:
    """The manifest in its one form, which the id names where one is given. ManifestRefused."""
    try:
        manifest = codec.manifests.decode(data)
    except ProtocolViolation as violation:
        raise ManifestRefused(Flaw.UNREADABLE, f"the manifest cannot be read: {violation}") from violation
    if canonical(manifest) != data:
        raise ManifestRefused(Flaw.CHANGED, "the manifest is not canonical JSON, or leaves a field out")
    if workload is not None and workload_id(manifest) != workload:
        raise ManifestRefused(Flaw.CHANGED, f"the manifest is {workload_id(manifest)}'s, not {workload}'s")
    return manifest


def publish(key: SigningKey, workload: WorkloadId, *, expires_ms: int) -> str:
    """A publisher's signature."""
    return sign_statement(key, PUBLICATION_DOMAIN, Publication(workload=workload, expires_ms=expires_ms))


def countersign(key: SigningKey, workload: WorkloadId, *, percent: int, serial: int, expires_ms: int) -> str:
    """The network's signature."""
    said = Countersignature(workload=workload, rollout_percent=percent, serial=serial, expires_ms=expires_ms)
    return sign_statement(key, COUNTERSIGNATURE_DOMAIN, said)


def order_stop(key: SigningKey, workload: WorkloadId, *, serial: int) -> str:
    """The network's order that nobody runs it any more."""
    return sign_statement(key, STOP_DOMAIN, StopOrder(workload=workload, serial=serial))


def check_publication(text: str, manifest: Manifest, *, now_ms: int) -> Publication:
    """The publisher's word on this manifest. ManifestRefused where it is not given, or is over."""
    publisher = manifest.publisher
    if publisher is None or not is_public_key(publisher):
        raise ManifestRefused(Flaw.UNSIGNED, "the manifest names no publisher's key")
    try:
        said = read_statement(text, PUBLICATION_DOMAIN, publisher, codec.publications)
    except ProtocolViolation as violation:
        raise ManifestRefused(Flaw.UNSIGNED, f"the publisher's signature does not hold: {violation}") from violation
    _check(said, workload_id(manifest), "the publisher's signature", now_ms=now_ms)
    return said


def check_countersignature(text: str, workload: WorkloadId, network_key: str, *, now_ms: int) -> Countersignature:
    """The network's word on this workload. ManifestRefused where it is not given, or is over."""
    try:
        said = read_statement(text, COUNTERSIGNATURE_DOMAIN, network_key, codec.countersignatures)
    except ProtocolViolation as violation:
        raise ManifestRefused(
            Flaw.UNSIGNED, f"the network's countersignature does not hold: {violation}"
        ) from violation
    _check(said, workload, "the network's countersignature", now_ms=now_ms)
    return said


def check_stop(text: str, network_key: str) -> StopOrder:
    """The network's order to stop a workload. ManifestRefused where it is not the network's."""
    try:
        return read_statement(text, STOP_DOMAIN, network_key, codec.stop_orders)
    except ProtocolViolation as violation:
        raise ManifestRefused(Flaw.UNSIGNED, f"the order to stop does not hold: {violation}") from violation


def check_signed(signed: SignedWorkload, network_key: str, *, now_ms: int) -> tuple[Manifest, Countersignature]:
    """All of it, as a node does before anything of a stranger's runs. ManifestRefused."""
    manifest = read_manifest(signed.manifest, signed.workload)
    check_publication(signed.publication, manifest, now_ms=now_ms)
    if signed.countersignature is None:
        raise ManifestRefused(Flaw.UNSIGNED, "the network has not countersigned it")
    return manifest, check_countersignature(signed.countersignature, signed.workload, network_key, now_ms=now_ms)


def _check(said: Publication | Countersignature, workload: WorkloadId, whose: str, *, now_ms: int) -> None:
    if said.workload != workload:
        raise ManifestRefused(Flaw.CHANGED, f"{whose} is over {said.workload}, not over {workload}")
    if said.expires_ms <= now_ms:
        raise ManifestRefused(Flaw.EXPIRED, f"{whose} over {workload} has expired")
