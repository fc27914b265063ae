"""What may run on a node, and what an operator is told before deciding."""

import pytest
from msgspec.structs import replace
from tests.unit.core.world import node_id

from gridlight.core.consent import Standing, Word, differences, standing
from gridlight.core.rollout import Rollout
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.manifests import Countersignature, Manifest, Permission, Run, workload_id
from gridlight.workloads.contract import manifest_named

MANIFEST = replace(manifest_named("coco-ssd"), name="stranger", publisher="U" + "A" * 55)
WORKLOAD = workload_id(MANIFEST)
NODE = node_id(1)


def word(*, percent: int = 100, serial: int = 3, stopped_serial: int = 0) -> Word:
    said = Countersignature(workload=WORKLOAD, rollout_percent=percent, serial=serial, expires_ms=0)
    return Word(said, stopped_serial)


def asked(
    manifest: Manifest = MANIFEST,
    *,
    accepted: WorkloadId | None = WORKLOAD,
    said: Word | None = None,
    is_code_kept_in: bool = False,
) -> Standing:
    workload = workload_id(manifest)
    accepted = workload if accepted == WORKLOAD else accepted
    return standing(workload, manifest, accepted, said or word(), NODE, is_code_kept_in=is_code_kept_in)


def test_what_is_accepted_and_approved_may_run() -> None:
    assert asked() is Standing.ACCEPTED


def test_nothing_runs_before_it_is_accepted() -> None:
    assert asked(accepted=None) is Standing.NOT_ACCEPTED


def test_another_digest_of_the_same_name_is_asked_for_again() -> None:
    assert asked(accepted=WorkloadId("stranger@sha256:" + "0" * 64)) is Standing.CHANGED


@pytest.mark.parametrize(
    ("stopped_serial", "found"), [(2, Standing.ACCEPTED), (3, Standing.STOPPED), (4, Standing.STOPPED)]
)
def test_an_order_to_stop_holds_until_a_later_word(stopped_serial: int, found: Standing) -> None:
    assert asked(said=word(stopped_serial=stopped_serial)) is found


def test_a_publishers_own_program_runs_only_where_it_is_kept_in() -> None:
    program = replace(MANIFEST, run=Run(name="image", image="0" * 64))
    assert asked(program) is Standing.NEEDS_CONTAINER
    assert asked(program, is_code_kept_in=True) is Standing.ACCEPTED
    assert asked(program, accepted=None, is_code_kept_in=True) is Standing.NOT_ACCEPTED


def test_a_workload_that_asks_for_what_the_node_has_not_does_not_run() -> None:
    assert asked(replace(MANIFEST, permissions=(Permission.GPU,))) is Standing.NEEDS_GPU
    assert asked(replace(MANIFEST, permissions=(Permission.SCRATCH,))) is Standing.ACCEPTED


def test_a_node_outside_of_the_rollout_runs_nothing_of_it() -> None:
    outside: NodeId = next(one for one in map(node_id, range(1, 1_000)) if not Rollout(WORKLOAD, 10).takes(one))

    assert (
        standing(WORKLOAD, MANIFEST, WORKLOAD, word(percent=10), outside, is_code_kept_in=False)
        is Standing.NOT_ROLLED_OUT
    )


def test_what_another_manifest_changes_is_named_line_by_line() -> None:
    after = replace(
        MANIFEST,
        version="9",
        permissions=(Permission.SCRATCH,),
        resources=replace(MANIFEST.resources, memory_mib=2_048),
        run=Run(name="image", image="1" * 64),
    )

    assert list(differences(MANIFEST, after))[:3] == [
        "version: 4 -> 9",
        "permissions: none -> scratch",
        f"run: ssd -> image {'1' * 64}",
    ]
    assert "memory: 512 MiB -> 2048 MiB" in list(differences(MANIFEST, after))
    assert not list(differences(MANIFEST, MANIFEST))
