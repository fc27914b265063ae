"""A workload's id pins all that its manifest says."""

import msgspec

from gridlight.workloads.contract import Manifest, catalogue, manifest_named, workload_id
from gridlight.workloads.prepare import PREPARES
from gridlight.workloads.present import PRESENTS


def test_a_changed_manifest_is_another_workload() -> None:
    manifest = manifest_named("coco-ssd")
    changed = msgspec.structs.replace(manifest, work_units=manifest.work_units + 1)
    assert workload_id(changed) != workload_id(manifest)
    assert workload_id(changed).startswith("coco-ssd@sha256:")


def test_an_id_does_not_depend_on_the_order_of_a_manifest() -> None:
    manifest = manifest_named("coco-ssd")
    turned = dict(reversed(msgspec.to_builtins(manifest).items()))
    turned["prepare"]["parameters"] = dict(reversed(turned["prepare"]["parameters"].items()))
    assert workload_id(msgspec.convert(turned, Manifest)) == workload_id(manifest)


def test_the_catalogue_names_only_steps_of_the_closed_lists() -> None:
    for identifier, manifest in catalogue().items():
        assert identifier == workload_id(manifest)
        assert manifest.prepare.name in PREPARES
        assert manifest.present.name in PRESENTS
        assert manifest.artifacts


def test_coco_has_eighty_labels_at_its_own_ids() -> None:
    labels = manifest_named("coco-ssd").labels
    assert len([label for label in labels if label]) == 80
    assert (labels[1], labels[6], labels[17], labels[90]) == ("person", "bus", "cat", "toothbrush")
    assert labels[0] == labels[12] == labels[66] == ""
