"""What is not approved, or is not any more, is given to nobody (P54)."""

import msgspec
import pytest
from tests.unit.core.words import END_MS, EXACT, MANIFEST, STRANGER, approved, stopped
from tests.unit.core.world import (
    OTHER_WORKLOAD,
    OUTPUT,
    WORKLOAD,
    World,
    cancels,
    ends,
    only,
    outcome,
    sends,
    slots,
)

from gridlight.core.catalogue import WORKLOADS_MAX, Catalogue
from gridlight.core.coordinator import Coordinator, CoreSnapshot
from gridlight.messages.ids import WorkloadId
from gridlight.messages.jobs import JobCode, JobState, SendAssignment
from gridlight.messages.trust import LAPTOP, Assurance, Verification
from gridlight.messages.workloads import AnnounceWorkloads, RecordWorkload, StopWorkload, WorkloadState


@pytest.fixture
def world() -> World:
    return World(trust=LAPTOP)


def lend(world: World, *workloads: WorkloadId) -> None:
    """Three nodes lend a slot of each."""
    for _ in range(3):
        world.offer(world.enrol(), *(slots(1, workload=one) for one in workloads))


def first_check(world: World) -> SendAssignment:
    """An audit comes within a second."""
    for _ in range(100):
        found = sends(world.pass_ms(20))
        if found:
            return found[0]
    raise AssertionError("nobody was asked to check it")


def test_what_nobody_approved_is_given_to_nobody_although_nodes_offer_it(world: World) -> None:
    lend(world, STRANGER)

    effects = world.submit(workload=STRANGER)

    assert outcome(effects).code is JobCode.UNKNOWN_MODEL
    assert not sends(effects)


def test_nodes_that_offered_it_before_serve_it_from_its_approval_on(world: World) -> None:
    lend(world, STRANGER)

    effects = world.tell(approved())

    assert only(AnnounceWorkloads, effects)
    (record,) = only(RecordWorkload, effects)
    assert (record.state, record.serial, record.approved) == (WorkloadState.APPROVED, 1, approved())
    assert sends(world.submit(workload=STRANGER))


def test_a_manifest_that_its_id_does_not_name_is_not_approved(world: World) -> None:
    effects = world.tell(approved(manifest=MANIFEST + b" "))

    assert effects == [AnnounceWorkloads()]
    assert world.coordinator.catalogue.refused == 1
    assert outcome(world.submit(workload=STRANGER)).code is JobCode.UNKNOWN_MODEL


def test_an_approval_that_is_over_already_does_not_count(world: World) -> None:
    assert world.tell(approved(expires_ms=world.now_ms)) == [AnnounceWorkloads()]
    assert STRANGER not in world.coordinator.catalogue.offered


def test_an_approval_ends_when_it_was_said_to(world: World) -> None:
    world.tell(approved(expires_ms=world.now_ms + 5_000))
    lend(world, STRANGER)
    (send,) = sends(world.submit(workload=STRANGER, deadline_ms=60_000))
    world.ack(send, eta_ms=50_000)

    assert not ends(world.pass_ms(4_999))
    effects = world.pass_ms(1)

    assert outcome(effects).code is JobCode.WORKLOAD_STOPPED
    assert "approval of this workload ended while this ran" in (outcome(effects).hint or "")
    (record,) = only(RecordWorkload, effects)
    assert record.state is WorkloadState.EXPIRED
    assert only(StopWorkload, effects) == [StopWorkload(workload=STRANGER, serial=1)]
    assert outcome(world.submit(workload=STRANGER)).code is JobCode.WORKLOAD_STOPPED


def test_time_that_passes_before_an_end_changes_nothing(world: World) -> None:
    world.tell(approved())
    world.tell(approved(workload=OTHER_WORKLOAD, manifest=b"", serial=1))

    assert world.coordinator.catalogue.next_deadline_ms() == END_MS
    assert not world.time_passed()


def test_a_stop_ends_what_runs_and_what_waits_and_is_told_to_all_nodes_at_once(world: World) -> None:
    world.tell(approved())
    lend(world, STRANGER, WORKLOAD)
    running = [sends(world.submit(workload=STRANGER))[0] for _ in range(3)]
    assert not sends(world.submit(workload=STRANGER)), "the fourth waits for a slot"
    ours = world.assign()

    effects = world.tell(stopped())

    assert {end.outcome.code for end in ends(effects)} == {JobCode.WORKLOAD_STOPPED}
    assert {end.outcome.state for end in ends(effects)} == {JobState.FAILED}
    assert len(ends(effects)) == 4
    assert {one.assignment_id for one in cancels(effects)} == {one.assignment.assignment_id for one in running}
    assert only(StopWorkload, effects) == [StopWorkload(workload=STRANGER, serial=2)]
    assert outcome(world.result(ours)).state is JobState.DONE, "what is not stopped goes on"


def test_what_a_node_still_holds_of_a_job_that_has_ended_is_forgotten_with_its_workload(world: World) -> None:
    world.tell(approved())
    lend(world, STRANGER)
    (send,) = sends(world.submit(workload=STRANGER))
    world.withdraw(send.job_id)

    effects = world.tell(stopped())

    assert not ends(effects), "it has ended, once"
    assert not world.coordinator.scheduling.placement.table.tasks


def test_what_a_node_says_of_a_stopped_workload_changes_nothing(world: World) -> None:
    world.tell(approved())
    lend(world, STRANGER)
    (send,) = sends(world.submit(workload=STRANGER))
    world.tell(stopped())

    assert not world.ack(send)
    assert not world.result(send)
    assert not world.fail(send)


def test_a_node_that_offers_a_stopped_workload_is_told_and_given_none_of_it(world: World) -> None:
    world.tell(approved())
    world.tell(stopped())

    node = world.enrol()
    effects = world.offer(node, slots(2, workload=STRANGER), slots(1))

    assert only(StopWorkload, effects) == [StopWorkload(node_id=node, workload=STRANGER, serial=2)]
    refusal = outcome(world.submit(workload=STRANGER))
    assert (refusal.state, refusal.code) == (JobState.REFUSED, JobCode.WORKLOAD_STOPPED)
    assert "the network stopped this workload; GET /v1/models" in (refusal.hint or "")
    assert sends(world.submit())


def test_a_node_whose_only_workload_is_stopped_lends_nothing(world: World) -> None:
    world.tell(approved())
    lend(world, STRANGER)
    roster = world.coordinator.scheduling.placement.roster
    assert roster._operators_lending == 3

    world.tell(stopped())

    assert roster._operators_lending == 0


@pytest.mark.parametrize("serial", [1, 2])
def test_an_older_word_brings_nothing_back(world: World, serial: int) -> None:
    world.tell(approved())
    world.tell(stopped())

    assert world.tell(approved(serial=serial)) == [AnnounceWorkloads()]
    assert outcome(world.submit(workload=STRANGER)).code is JobCode.WORKLOAD_STOPPED


def test_a_later_word_brings_it_back_to_those_that_offer_it_again(world: World) -> None:
    world.tell(approved())
    lend(world, STRANGER)
    world.tell(stopped())

    world.tell(approved(serial=3))

    assert sends(world.submit(workload=STRANGER))


def test_an_order_to_stop_counts_before_anything_was_approved(world: World) -> None:
    world.tell(stopped(serial=5))

    assert world.tell(approved(serial=4)) == [AnnounceWorkloads()]
    assert world.tell(stopped(serial=5)) == [AnnounceWorkloads()]
    assert world.coordinator.catalogue.refused == 2


def test_what_comes_with_the_program_can_be_stopped_and_stays_stopped_over_a_restart(world: World) -> None:
    world.join()
    world.tell(stopped(workload=WORKLOAD, serial=1))
    world.go_on_from_a_snapshot()
    world.restart()
    world.now_ms += 10_000

    assert outcome(world.submit()).code is JobCode.WORKLOAD_STOPPED


def test_what_was_approved_is_offered_by_the_next_process_too(world: World) -> None:
    world.tell(approved())
    world.go_on_from_a_snapshot()
    world.restart()
    lend(world, STRANGER)

    assert sends(world.submit(workload=STRANGER))


def test_what_a_later_program_does_not_come_with_is_gone(world: World) -> None:
    world.restart(workloads=(OTHER_WORKLOAD,))

    assert world.coordinator.catalogue.offered == [OTHER_WORKLOAD]
    assert outcome(world.submit()).code is JobCode.UNKNOWN_MODEL
    world.restart(workloads=(WORKLOAD, OTHER_WORKLOAD))
    assert sorted(world.coordinator.catalogue.offered) == sorted([WORKLOAD, OTHER_WORKLOAD])


def test_what_the_network_stopped_stays_stopped_when_a_later_program_comes_with_it_again(world: World) -> None:
    world.tell(stopped(workload=WORKLOAD, serial=1))
    world.restart(workloads=(OTHER_WORKLOAD,))

    world.restart(workloads=(WORKLOAD, OTHER_WORKLOAD))

    assert world.coordinator.catalogue.offered == [OTHER_WORKLOAD]


def test_results_are_compared_as_the_approval_says(world: World) -> None:
    world.tell(approved())
    world.restart()
    lend(world, STRANGER)
    world.begin_epoch(0)

    (send,) = sends(world.submit(workload=STRANGER, assurance=Assurance.AUDITED))
    assert outcome(world.result(send)).verification is Verification.PROVISIONAL
    check = first_check(world)
    world.result(check, output=OUTPUT)

    assert world.coordinator.verification.docket.comparisons[STRANGER] == EXACT
    assert all(case.is_settled for case in world.coordinator.verification.docket.cases.values())


def test_a_check_of_a_stopped_workload_ends_and_is_asked_of_nobody_again(world: World) -> None:
    world.tell(approved())
    lend(world, STRANGER)
    world.begin_epoch(0)
    (send,) = sends(world.submit(workload=STRANGER, assurance=Assurance.AUDITED))
    world.result(send)
    check = first_check(world)

    assert not sends(world.tell(stopped()))

    assert not world.result(check)
    assert not sends(world.pass_ms(60_000))
    assert not world.coordinator.verification.docket.cases


def test_a_check_that_was_not_asked_for_yet_is_not_asked_for_after_a_stop(world: World) -> None:
    world.tell(approved())
    lend(world, STRANGER)
    world.begin_epoch(0)
    (send,) = sends(world.submit(workload=STRANGER, assurance=Assurance.AUDITED))
    world.result(send)

    world.tell(stopped())

    assert not sends(world.pass_ms(60_000))
    assert not world.coordinator.verification.docket.cases


def test_a_network_remembers_a_bounded_number_of_workloads() -> None:
    catalogue = Catalogue()
    for number in range(WORKLOADS_MAX):
        catalogue.handle(0, stopped(workload=WorkloadId(f"w{number}@sha256:{number:064x}"), serial=1))

    assert catalogue.handle(0, approved()) == [AnnounceWorkloads()]
    assert catalogue.handle(0, stopped()) == [AnnounceWorkloads()]
    assert catalogue.refused == 2
    catalogue.check()


def test_a_snapshot_from_before_the_catalogue_goes_on_with_the_lanes_that_it_had(world: World) -> None:
    state = msgspec.msgpack.decode(world.coordinator.snapshot(), type=CoreSnapshot)
    state.catalogue = None

    world.coordinator = Coordinator.restored(msgspec.msgpack.encode(state))

    world.coordinator.check()
    assert world.coordinator.catalogue.offered == [WORKLOAD]
