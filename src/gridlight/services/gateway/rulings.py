"""The network's words on workloads: checked against its key and the manifest, then told to the coordinator."""

from collections.abc import Mapping
from typing import Final

from gridlight.adapters.manifests import (
    ManifestRefused,
    check_countersignature,
    check_publication,
    check_stop,
)
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.ids import WorkloadId
from gridlight.messages.limits import MESSAGE_BYTES_MAX
from gridlight.messages.manifests import Manifest, canonical
from gridlight.messages.workload_api import RuleBody
from gridlight.messages.workloads import WorkloadApproved, WorkloadState, WorkloadStopped
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.offered import Offered, OfferedWorkload
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.publications import Publications
from gridlight.workloads.contract import BadManifest, check_manifest

_rules: Final[Decoder[RuleBody]] = Decoder(RuleBody, MESSAGE_BYTES_MAX)


class Rulings:
    """Whoever sends one has the admin token; what it says counts by its signature alone."""

    def __init__(
        self,
        network_key: str,
        first_party: Mapping[WorkloadId, Manifest],
        *,
        offered: Offered,
        publications: Publications,
        outbox: Outbox,
    ) -> None:
        self._network_key = network_key
        self._first_party = first_party
        self._offered = offered
        self._publications = publications
        self._outbox = outbox

    async def take(self, data: bytes, *, now_ms: int) -> tuple[WorkloadId, OfferedWorkload]:
        """The workload as it stands once the word is in the journal. Refusal where it does not count."""
        try:
            said = _rules.decode(data)
            event = self._event(said, now_ms)
        except ProtocolViolation as violation:
            raise Refusal("BAD_REQUEST", f"The word cannot be read: {str(violation)[:200]}.") from None
        except (ManifestRefused, BadManifest) as refused:
            code = f"WORKLOAD_{refused.flaw.name}" if isinstance(refused, ManifestRefused) else "BAD_MANIFEST"
            raise Refusal("BAD_MANIFEST" if code == "WORKLOAD_UNREADABLE" else code, f"{str(refused)[:300]}.") from None
        known = self._offered.find(said.workload)
        if known is not None and known.serial >= event.serial:
            raise Refusal("OLD_SERIAL", f"The network's last word on it has serial {known.serial}.")
        self._outbox.add(event)
        one = await self._offered.ruled(said.workload, event.serial)
        wanted = WorkloadState.STOPPED if isinstance(event, WorkloadStopped) else WorkloadState.APPROVED
        if one.serial != event.serial or one.state is not wanted:
            raise Refusal("OLD_SERIAL", f"The network's last word on it has serial {one.serial}.")
        return said.workload, one

    def _event(self, said: RuleBody, now_ms: int) -> WorkloadApproved | WorkloadStopped:
        if (said.countersignature is None) == (said.stop is None):
            raise Refusal("BAD_REQUEST", "Send either a countersignature or an order to stop.")
        if said.stop is not None:
            order = check_stop(said.stop, self._network_key)
            self._find(said.workload)
            if order.workload != said.workload:
                raise Refusal("WORKLOAD_CHANGED", "The order is about another workload.")
            return WorkloadStopped(workload=said.workload, order=said.stop, serial=order.serial)
        assert said.countersignature is not None
        manifest, publication = self._find(said.workload)
        word = check_countersignature(said.countersignature, said.workload, self._network_key, now_ms=now_ms)
        expires_ms = word.expires_ms
        if publication is not None:
            expires_ms = min(expires_ms, check_publication(publication, manifest, now_ms=now_ms).expires_ms)
        check_manifest(manifest)
        return WorkloadApproved(
            workload=said.workload,
            manifest=canonical(manifest),
            publication=publication,
            countersignature=said.countersignature,
            rollout_percent=word.rollout_percent,
            serial=word.serial,
            expires_ms=expires_ms,
            comparison=manifest.compare,
        )

    def _find(self, workload: WorkloadId) -> tuple[Manifest, str | None]:
        """Its manifest, and its publisher's word, which what comes with the program has not."""
        if workload in self._first_party:
            return self._first_party[workload], None
        published = self._publications.find(workload)
        if published is not None:
            missing = self._publications.missing(published.manifest)
            if missing:
                raise Refusal("ARTIFACTS_MISSING", f"{len(missing)} of its artifacts did not come yet.")
            return published.manifest, published.body.publication
        known = self._offered.find(workload)
        if known is None or known.record is None:
            raise Refusal("UNKNOWN_WORKLOAD")
        return known.manifest, known.record.publication
