"""A coordinator under random events: no job is lost, ends twice or is late in silence; no slot is lent twice."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace
from tests.properties.churn import TRUST, churn, digest_in_another_process
from tests.properties.drive import Drive
from tests.unit.core.words import MANIFEST, STRANGER, approved, stopped
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, enrolled, job_id, node_id, offer, submitted

from gridlight.messages.host import BusReconnected
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.jobs import JobWithdrawn
from gridlight.messages.nodes import NodeDisconnected, OwnerState, SlotOffer
from gridlight.messages.tasks import DeclineReason, FailureCode, UndeliverableReason
from gridlight.messages.trust import Assurance, Tier

NODES = [node_id(number) for number in range(1, 9)]
REFERENCE, NEWCOMER = node_id(9), node_id(10)
LIARS = [NODES[0], NODES[5], NEWCOMER]
"""So few that they are no majority of a panel."""
ENDORSED = {REFERENCE: Tier.REFERENCE, NEWCOMER: None}
PREFIXES = ["", "", "10.0.1.0/24", "10.0.2.0/24"]
BOTH = (WORKLOAD, OTHER_WORKLOAD)
OFFERED = (WORKLOAD, STRANGER)

workloads = st.sampled_from([*BOTH, STRANGER])
nodes = st.sampled_from([*NODES, REFERENCE, NEWCOMER])
assurances = st.sampled_from([*Assurance, Assurance.SAMPLED])
deadlines = st.sampled_from([4_000, 4_000, 1_500, 60_000, 300, 1])
estimates = st.sampled_from([0, 200, 5_000, 600_000])
# Mostly one of the last assignments, by its own node; at times an old one, or by another node.
picks = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 21, 34])
senders = st.sampled_from([None, None, None, None, None, None, NODES[0], NODES[7]])
slot_offers = st.builds(
    SlotOffer,
    workload=workloads,
    slots=st.sampled_from([1, 2, 3, 0]),
    lookahead=st.integers(0, 2),
    benchmark_ms=st.sampled_from([100, 20, None, 900, 5_000]),
)


class CoordinatorMachine(RuleBasedStateMachine):
    """Whatever may come, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.drive = Drive(TRUST)
        self.jobs_made = 0
        self.serial = 0
        """Of the network's last word."""
        self.drive.start(7, BOTH)
        self.drive.begin_epoch()
        for node in [*NODES[:5], REFERENCE, NEWCOMER]:
            self.drive.tell(enrolled(node, endorsed=ENDORSED.get(node, Tier.TRUSTED)))
        self.all_come_back()

    def all_come_back(self) -> None:
        for node in self.drive.trust.nodes:
            self.drive.tell(offer(node, SlotOffer(workload=WORKLOAD, slots=1, lookahead=1, benchmark_ms=100)))

    @rule(count=st.integers(1, 8), deadline_ms=deadlines, assurance=assurances, is_public=st.booleans())
    def submit(self, count: int, deadline_ms: int, assurance: Assurance, *, is_public: bool) -> None:
        for _ in range(count):
            self.jobs_made += 1
            job = job_id(self.jobs_made)
            self.drive.tell(submitted(job, deadline_ms=deadline_ms, assurance=assurance, is_public=is_public))

    @rule(
        deadline_ms=deadlines,
        workload=workloads,
        pinned=st.none() | nodes,
        assurance=assurances,
    )
    def submit_something_special(
        self, deadline_ms: int, workload: WorkloadId, pinned: NodeId | None, assurance: Assurance
    ) -> None:
        self.jobs_made += 1
        job = submitted(
            job_id(self.jobs_made),
            deadline_ms=deadline_ms,
            workload=workload,
            pinned_node=pinned,
            assurance=assurance,
        )
        self.drive.tell(job)

    @rule(assurance=assurances, count=st.integers(1, 4))
    def serve_and_check(self, assurance: Assurance, count: int) -> None:
        for _ in range(count):
            self.jobs_made += 1
            self.drive.tell(submitted(job_id(self.jobs_made), assurance=assurance, is_public=True))
            for _ in range(4):
                for send in self.drive.live():
                    self.drive.give_result(send)
                self.drive.wait(400)

    @rule(
        percent=st.sampled_from([100, 100, 40]),
        serial=st.sampled_from([1, 1, 1, 0, -1]),
        lasts_ms=st.sampled_from([10**9, 3_000, 0]),
        manifest=st.sampled_from([MANIFEST, MANIFEST, MANIFEST, b"another"]),
    )
    def approve(self, percent: int, serial: int, lasts_ms: int, manifest: bytes) -> None:
        self.serial = max(1, self.serial + serial)
        until_ms = self.drive.now_ms + lasts_ms
        said = approved(manifest=manifest, percent=percent, serial=self.serial, expires_ms=until_ms)
        self.drive.tell(said)
        for node in NODES[:4]:
            self.drive.tell(offer(node, *(SlotOffer(workload=one, slots=1, benchmark_ms=100) for one in OFFERED)))
        for _ in range(3):
            self.jobs_made += 1
            self.drive.tell(submitted(job_id(self.jobs_made), workload=STRANGER, assurance=Assurance.AUDITED))

    @rule(serial=st.sampled_from([1, 1, 0]), workload=st.sampled_from([STRANGER, STRANGER, OTHER_WORKLOAD]))
    def stop(self, serial: int, workload: WorkloadId) -> None:
        self.serial = max(1, self.serial + serial)
        self.drive.tell(stopped(workload=workload, serial=self.serial))

    @rule(liars=st.sets(st.sampled_from(LIARS)))
    def lie_from_now_on(self, liars: set[NodeId]) -> None:
        self.drive.liars = liars

    @rule()
    def begin_an_epoch(self) -> None:
        self.drive.begin_epoch()

    @rule(number=st.integers(1, 20), deadline_ms=deadlines)
    @precondition(lambda self: self.jobs_made)
    def tell_a_job_again(self, number: int, deadline_ms: int) -> None:
        self.drive.tell(submitted(job_id(1 + number % self.jobs_made), deadline_ms=deadline_ms))

    @rule(number=st.integers(1, 20))
    def withdraw(self, number: int) -> None:
        self.drive.tell(JobWithdrawn(job_id=job_id(number)))

    @rule(pick=picks, sender=senders, eta_ms=estimates, elapsed_ms=st.integers(0, 2_000))
    @precondition(lambda self: self.drive.sent)
    def acknowledge(self, pick: int, sender: NodeId | None, eta_ms: int, elapsed_ms: int) -> None:
        self.drive.acknowledge(self.drive.pick(pick), sender, eta_ms=eta_ms, elapsed_ms=elapsed_ms)

    @rule(eta_ms=estimates)
    def everybody_acknowledges(self, eta_ms: int) -> None:
        for send in self.drive.live():
            self.drive.acknowledge(send, eta_ms=eta_ms)

    @rule(count=st.integers(1, 10))
    def several_answer(self, count: int) -> None:
        for send in self.drive.live()[:count]:
            self.drive.give_result(send)

    @rule(pick=picks, sender=senders)
    @precondition(lambda self: self.drive.sent)
    def give_a_result(self, pick: int, sender: NodeId | None) -> None:
        self.drive.give_result(self.drive.pick(pick), sender)

    @rule(pick=picks, sender=senders, reason=st.sampled_from([*DeclineReason, *FailureCode, *UndeliverableReason]))
    @precondition(lambda self: self.drive.sent)
    def return_it(
        self, pick: int, sender: NodeId | None, reason: DeclineReason | FailureCode | UndeliverableReason
    ) -> None:
        self.drive.return_it(self.drive.pick(pick), sender, reason=reason)

    @rule(
        node=nodes,
        offers=st.lists(slot_offers, min_size=1, max_size=2, unique_by=lambda one: one.workload),
        session=st.sampled_from([1, 1, 2]),
        state=st.sampled_from(OwnerState),
    )
    def lend(self, node: NodeId, offers: list[SlotOffer], session: int, state: OwnerState) -> None:
        self.drive.tell(replace(offer(node, *offers, session=session), owner_state=state))

    @rule(node=nodes, operator=st.sampled_from([None, None, NODES[0], NODES[5]]), prefix=st.sampled_from(PREFIXES))
    def enrol(self, node: NodeId, operator: NodeId | None, prefix: str) -> None:
        endorsed = ENDORSED.get(node, Tier.TRUSTED)
        self.drive.tell(enrolled(node, operator=operator, endorsed=endorsed, prefix=prefix))

    @rule(node=nodes)
    def disconnect(self, node: NodeId) -> None:
        self.drive.tell(NodeDisconnected(node_id=node))

    @rule(is_short=st.booleans())
    def lose_the_bus(self, *, is_short: bool) -> None:
        self.drive.tell(BusReconnected())
        if is_short:
            self.all_come_back()

    @rule(seed=st.integers(0, 3), workloads=st.sampled_from([BOTH, BOTH, (WORKLOAD,)]))
    def restart(self, seed: int, workloads: tuple[WorkloadId, ...]) -> None:
        self.drive.start(seed, workloads)
        self.all_come_back()

    @rule(ms=st.sampled_from([30, 100, 200, 600, 1_000]))
    def wait(self, ms: int) -> None:
        self.drive.wait(ms)

    @rule(ms=st.integers(0, 10_000))
    def wait_long(self, ms: int) -> None:
        self.drive.wait(ms)

    @rule(ms=st.sampled_from([1, 100, 700, 1_200, 4_000, 10_000]))
    def wait_while_the_host_is_held_up(self, ms: int) -> None:
        self.drive.now_ms += ms

    @rule()
    def restore_a_twin(self) -> None:
        self.drive.take_twin()

    def teardown(self) -> None:
        self.drive.finish()


def test_whatever_comes_every_job_ends_once_and_in_time() -> None:
    run_state_machine_as_test(CoordinatorMachine, settings=settings(max_examples=40, stateful_step_count=60))


@pytest.mark.parametrize("seed", range(4))
def test_a_busy_network_with_faults_keeps_its_promises(seed: int) -> None:
    drive = churn(seed, steps=1_000)

    outcomes = [job.outcome for job in drive.witness.jobs.values()]
    assert len(outcomes) > 100
    assert sum(outcome is not None and outcome.output is not None for outcome in outcomes) > 30


def test_one_seed_is_one_run_whatever_the_hash_seed() -> None:
    assert digest_in_another_process(hash_seed=1) == digest_in_another_process(hash_seed=2)
