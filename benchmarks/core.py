"""The core alone: complete task lives a second on one core, and how long choosing a node takes.

`python -m benchmarks.core [--nodes 50000] [--in-flight 2000] [--lives 60000] [--rounds 3]`. One life is a job
submitted, a node chosen, the assignment, its acknowledgement and its result; events are encoded for the journal in
records of 200. Measured once where answers are not checked, and once with the audits of a settled fleet, which are
counted as part of the lives they check. The clock is simulated: 10,000 lives pass in one of its seconds. No bus, disk,
JSON or signature.
"""

import argparse
import gc
import json
import multiprocessing
import os
import resource
import statistics
import sys
from collections import deque
from random import Random
from time import perf_counter, process_time, thread_time_ns

from benchmarks.machine import random_read_ns
from gridlight.core.coordinator import Coordinator
from gridlight.messages.codec import Effect, Event, encode_record
from gridlight.messages.host import CoordinatorStarted, TimePassed
from gridlight.messages.ids import Blake3Digest, GatewayId, JobId, NodeId, WorkloadId
from gridlight.messages.jobs import JobSubmitted, SendAssignment
from gridlight.messages.nodes import NodeEnrolled, OfferChanged, SlotOffer
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import AssignmentAcknowledged
from gridlight.messages.trust import Assurance, Tier

LIVES_TARGET = 10_000
LIVES_PER_MS = 10
ACK_AFTER_LIVES = 200
CLEAN_RUN_MAX = 60_000
RECORD_EVENTS = 200
COLLECT_EACH_LIVES = 1_000
"""The coordinator collects young garbage each second: so much is new in one at a thousand tasks a second."""
WORKLOAD = WorkloadId("coco-ssd@sha256:" + "5d" * 32)
GATEWAY = GatewayId("gateway-1")
DIGEST = Blake3Digest("ab" * 32)
OUTPUT = bytes(36)
TIMING = RunTiming(queue=1, infer=70)
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def node_id(number: int) -> NodeId:
    """A well-formed node id that stands for a number."""
    digits = "".join(_BASE32[number >> shift & 31] for shift in (20, 15, 10, 5, 0))
    return NodeId("U" + digits.rjust(55, "A"))


class Network:
    """A coordinator with nodes, and as many tasks in flight as asked for."""

    def __init__(self, *, nodes: int, in_flight: int, assurance: Assurance) -> None:
        self.events = 0
        self.is_timed = False
        """Whether each admission is timed, in a round of its own: reading the clock twice costs some of a life."""
        self.submit_ns: list[int] = []
        self.collect_ns: list[int] = []
        self._coordinator = Coordinator()
        self._now_ms = 1_000_000
        self._in_flight = in_flight
        self._assurance = assurance
        self._lives = 0
        self._batch: list[Event] = []
        self._to_acknowledge: deque[SendAssignment] = deque()
        self._to_finish: deque[SendAssignment] = deque()
        self._tell(CoordinatorStarted(seed=7, workloads=(WORKLOAD,)))
        self._register(nodes)
        for _ in range(in_flight):
            self._submit()

    def live(self, lives: int) -> None:
        """So many jobs begin and as many end."""
        for _ in range(lives):
            self._submit()
            while len(self._to_finish) > self._in_flight:
                self._finish(self._to_finish.popleft())
            if self._lives % COLLECT_EACH_LIVES == 0:
                self._collect()

    def _collect(self) -> None:
        began_ns = thread_time_ns()
        gc.collect(1)
        self.collect_ns.append(thread_time_ns() - began_ns)

    def _register(self, nodes: int) -> None:
        draws = Random(7)
        for number in range(nodes):
            node = node_id(number)
            self._tell(
                NodeEnrolled(
                    gateway_id=GATEWAY, node_id=node, operator=node, agent_version="1", cpus=4, memory_mib=8192
                )
            )
            clean_run = draws.randrange(1_000, CLEAN_RUN_MAX)
            settled = self._coordinator.reputation.seed_standing(number, tier=Tier.TRUSTED, clean_run=clean_run)
            self._coordinator.scheduling.handle(self._now_ms, settled)
            benchmark_ms = int(draws.lognormvariate(5.3, 0.5))
            lent = SlotOffer(workload=WORKLOAD, slots=1, lookahead=1, benchmark_ms=benchmark_ms)
            self._tell(OfferChanged(node_id=node, session="0" * 16, offers=(lent,)))

    def _submit(self) -> None:
        self._lives += 1
        if self._lives % LIVES_PER_MS == 0:
            self._now_ms += 1
            due_ms = self._coordinator.next_deadline_ms()
            if due_ms is not None and due_ms <= self._now_ms:
                self._tell(TimePassed())
        job = JobSubmitted(
            job_id=JobId(f"req_{self._lives:026d}"),
            gateway_id=GATEWAY,
            workload=WORKLOAD,
            deadline_ms=4_000,
            input_digest=DIGEST,
            input_bytes=270_000,
            assurance=self._assurance,
        )
        self._sent(self._admit(job))
        self._journal(job)
        if len(self._to_acknowledge) > ACK_AFTER_LIVES:
            self._acknowledge(self._to_acknowledge.popleft())

    def _admit(self, job: JobSubmitted) -> list[Effect]:
        if not self.is_timed:
            return self._coordinator.handle(self._now_ms, job)
        began_ns = thread_time_ns()
        effects = self._coordinator.handle(self._now_ms, job)
        self.submit_ns.append(thread_time_ns() - began_ns)
        return effects

    def _acknowledge(self, send: SendAssignment) -> None:
        assignment_id = send.assignment.assignment_id
        self._tell(AssignmentAcknowledged(assignment_id=assignment_id, node_id=send.node_id, eta_ms=200, elapsed_ms=20))

    def _finish(self, send: SendAssignment) -> None:
        self._tell(
            ResultSubmitted(
                assignment_id=send.assignment.assignment_id,
                node_id=send.node_id,
                output_digest=DIGEST,
                output_bytes=len(OUTPUT),
                timing=TIMING,
                output=OUTPUT,
            )
        )

    def _tell(self, event: Event) -> None:
        self._sent(self._coordinator.handle(self._now_ms, event))
        self._journal(event)

    def _sent(self, effects: list[Effect]) -> None:
        for effect in effects:
            if type(effect) is SendAssignment:
                self._to_acknowledge.append(effect)
                self._to_finish.append(effect)

    def _journal(self, event: Event) -> None:
        self.events += 1
        self._batch.append(event)
        if len(self._batch) >= RECORD_EVENTS:
            encode_record(self._batch)
            self._batch.clear()


def measure(*, nodes: int, in_flight: int, lives: int, rounds: int, assurance: Assurance) -> dict[str, float]:
    """The collector is handled as in the coordinator: what stands is frozen, and the young are collected by hand."""
    began_s = perf_counter()
    network = Network(nodes=nodes, in_flight=in_flight, assurance=assurance)
    built_s = perf_counter() - began_s
    network.live(lives // 10)
    gc.collect()
    gc.freeze()
    gc.disable()
    cpu_rates: list[float] = []
    wall_rates: list[float] = []
    network.collect_ns.clear()
    events = network.events
    for _ in range(rounds):
        began_s, began_cpu_s = perf_counter(), process_time()
        network.live(lives)
        cpu_rates.append(lives / (process_time() - began_cpu_s))
        wall_rates.append(lives / (perf_counter() - began_s))
    network.is_timed = True
    network.live(lives)
    submit_us = [ns / 1_000 for ns in sorted(network.submit_ns)]
    return {
        "lives_per_cpu_s": statistics.median(cpu_rates),
        "lives_per_s": statistics.median(wall_rates),
        "events_per_life": (network.events - events) / (lives * (rounds + 1)),
        "submit_p50_us": submit_us[len(submit_us) // 2],
        "submit_p99_us": submit_us[len(submit_us) * 99 // 100],
        "submit_max_us": submit_us[-1],
        "collect_max_us": max(network.collect_ns) / 1_000,
        "registrations_per_s": nodes / built_s,
        "random_read_ns": random_read_ns(),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Print one line to read and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50_000)
    parser.add_argument("--in-flight", type=int, default=2_000)
    parser.add_argument("--lives", type=int, default=60_000, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sizes = {"nodes": options.nodes, "in_flight": options.in_flight, "lives": options.lives, "rounds": options.rounds}
    found = {assurance: _apart(sizes, assurance) for assurance in (Assurance.NONE, Assurance.SAMPLED)}
    print(
        f"core: with {options.nodes:,} nodes and {options.in_flight:,} in flight; memory is read at random in "
        f"{found[Assurance.NONE]['random_read_ns']:.0f} ns"
    )
    for assurance, figures in found.items():
        target = f" (target at least {LIVES_TARGET:,})" if assurance is Assurance.NONE else ""
        print(
            f"{assurance}: {figures['lives_per_cpu_s']:,.0f} task lives a second of one core{target}; by the clock "
            f"{figures['lives_per_s']:,.0f}; a job is admitted and given to a node in "
            f"p50 {figures['submit_p50_us']:.0f}, p99 {figures['submit_p99_us']:.0f}, "
            f"max {figures['submit_max_us']:,.0f} us of CPU, and at most {figures['collect_max_us']:,.0f} us more "
            "where garbage is collected before it"
        )
    print(json.dumps({"figures": found, "options": vars(options), "load": os.getloadavg(), "python": sys.version}))


def _apart(sizes: dict[str, int], assurance: Assurance) -> dict[str, float]:
    """In a process of its own, so that one leaves nothing behind for the other's collector."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (), {**sizes, "assurance": assurance})


if __name__ == "__main__":
    main()
