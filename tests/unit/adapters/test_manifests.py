"""Nothing of a stranger's workload is believed before its digest and both signatures hold."""

import pytest
from msgspec.structs import replace

from gridlight.adapters.manifests import (
    Flaw,
    ManifestRefused,
    SignedWorkload,
    check_publication,
    check_signed,
    check_stop,
    countersign,
    order_stop,
    publish,
    read_manifest,
)
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.statements import CHARACTERS_MAX, split_statement
from gridlight.messages.codec import ProtocolViolation
from gridlight.messages.ids import WorkloadId
from gridlight.messages.manifests import canonical, workload_id
from gridlight.workloads.contract import manifest_named

PUBLISHER, NETWORK, ANOTHER = (SigningKey.generate() for _ in range(3))
MANIFEST = replace(manifest_named("coco-ssd"), name="stranger", publisher=PUBLISHER.public)
WORKLOAD = workload_id(MANIFEST)
OTHER = WorkloadId("stranger@sha256:" + "0" * 64)
NOW_MS, END_MS = 1_000, 2_000


def signed(
    *,
    workload: WorkloadId = WORKLOAD,
    manifest: bytes = canonical(MANIFEST),
    publication: str | None = None,
    countersignature: str | None = None,
) -> SignedWorkload:
    return SignedWorkload(
        workload=workload,
        manifest=manifest,
        publication=publication or publish(PUBLISHER, WORKLOAD, expires_ms=END_MS),
        countersignature=countersignature or countersign(NETWORK, WORKLOAD, percent=10, serial=4, expires_ms=END_MS),
    )


def flaw(one: SignedWorkload, *, now_ms: int = NOW_MS) -> Flaw:
    with pytest.raises(ManifestRefused) as refused:
        check_signed(one, NETWORK.public, now_ms=now_ms)
    return refused.value.flaw


def test_what_both_signed_is_taken_as_it_was_signed() -> None:
    manifest, word = check_signed(signed(), NETWORK.public, now_ms=NOW_MS)

    assert manifest == MANIFEST
    assert (word.workload, word.rollout_percent, word.serial) == (WORKLOAD, 10, 4)


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (signed(workload=OTHER), Flaw.CHANGED),
        (signed(manifest=canonical(replace(MANIFEST, version="9"))), Flaw.CHANGED),
        (signed(manifest=canonical(MANIFEST).replace(b"{", b"{ ", 1)), Flaw.CHANGED),
        (signed(manifest=b"no manifest"), Flaw.UNREADABLE),
        (signed(publication="nothing"), Flaw.UNSIGNED),
        (signed(publication=publish(ANOTHER, WORKLOAD, expires_ms=END_MS)), Flaw.UNSIGNED),
        (signed(publication=publish(PUBLISHER, OTHER, expires_ms=END_MS)), Flaw.CHANGED),
        (signed(publication=publish(PUBLISHER, WORKLOAD, expires_ms=NOW_MS)), Flaw.EXPIRED),
        (signed(countersignature=publish(NETWORK, WORKLOAD, expires_ms=END_MS)), Flaw.UNSIGNED),
        (
            signed(countersignature=countersign(ANOTHER, WORKLOAD, percent=1, serial=1, expires_ms=END_MS)),
            Flaw.UNSIGNED,
        ),
        (signed(countersignature=countersign(NETWORK, OTHER, percent=1, serial=1, expires_ms=END_MS)), Flaw.CHANGED),
    ],
    ids=[
        "id of another",
        "another version",
        "one space more",
        "no manifest",
        "no signature",
        "another's signature",
        "signed for another",
        "signature over",
        "publication as countersignature",
        "another's countersignature",
        "countersigned for another",
    ],
)
def test_whatever_does_not_hold_is_refused_with_the_reason(one: SignedWorkload, found: Flaw) -> None:
    assert flaw(one) is found


def test_a_signature_ends_when_it_was_said_to() -> None:
    check_signed(signed(), NETWORK.public, now_ms=END_MS - 1)
    assert flaw(signed(), now_ms=END_MS) is Flaw.EXPIRED


def test_what_the_network_has_not_countersigned_is_refused() -> None:
    assert flaw(replace(signed(), countersignature=None)) is Flaw.UNSIGNED


def test_a_manifest_that_names_no_publisher_is_nobodys() -> None:
    ours = manifest_named("coco-ssd")

    with pytest.raises(ManifestRefused, match="names no publisher"):
        check_publication(publish(PUBLISHER, workload_id(ours), expires_ms=END_MS), ours, now_ms=NOW_MS)


def test_an_order_to_stop_is_the_networks() -> None:
    assert check_stop(order_stop(NETWORK, WORKLOAD, serial=5), NETWORK.public).serial == 5
    with pytest.raises(ManifestRefused):
        check_stop(order_stop(ANOTHER, WORKLOAD, serial=5), NETWORK.public)


@pytest.mark.parametrize("name", ["evil\x1b[2J", "turned \u202e around", "two\nlines", ""])
def test_what_is_shown_to_people_holds_nothing_that_a_terminal_obeys(name: str) -> None:
    with pytest.raises(ManifestRefused):
        read_manifest(canonical(replace(MANIFEST, purpose=name)))


def test_the_network_is_no_permission() -> None:
    data = canonical(MANIFEST).replace(b'"permissions":[]', b'"permissions":["network"]')

    with pytest.raises(ManifestRefused, match="network"):
        read_manifest(data)


def test_a_statement_without_end_is_not_read() -> None:
    with pytest.raises(ProtocolViolation):
        split_statement("A" * (CHARACTERS_MAX + 1))
