"""A busy network with faults, drawn from a seed: most nodes answer, some late, some never, some twice.

`python -m tests.properties.churn` prints the digest of one run.
"""

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from random import Random

from tests.properties.drive import Drive
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, enrolled, job_id, node_id, offer, submitted

from gridlight.messages.codec import Event, encode
from gridlight.messages.host import BusReconnected, CoordinatorStarted
from gridlight.messages.jobs import JobWithdrawn, SendAssignment
from gridlight.messages.nodes import NodeDisconnected, SlotOffer
from gridlight.messages.tasks import DeclineReason, FailureCode, UndeliverableReason

_ROOT = Path(__file__).parent.parent.parent
_NODES = 30
_REASONS = [*DeclineReason, *FailureCode, *UndeliverableReason]


def churn(seed: int, *, steps: int, has_twin: bool = True) -> Drive:
    """Run it to the end, checked at each step."""
    random, drive = Random(seed), Drive()
    drive.tell(CoordinatorStarted(seed=seed, workloads=(WORKLOAD, OTHER_WORKLOAD)))
    for number in range(_NODES):
        drive.tell(enrolled(node_id(number)))
        _lend(drive, random, number)
    for step in range(steps):
        _step(drive, random, step)
        if has_twin and step % 200 == 50:
            drive.take_twin()
    drive.finish()
    return drive


def _step(drive: Drive, random: Random, step: int) -> None:
    match random.choices(range(8), weights=(30, 25, 35, 6, 4, 3, 25, 1))[0]:
        case 0:
            deadline_ms = random.choice([800, 2_000, 4_000, 8_000])
            pinned = node_id(random.randrange(_NODES)) if random.random() < 0.1 else None
            drive.tell(submitted(job_id(step), deadline_ms=deadline_ms, pinned_node=pinned))
        case 1 if drive.sent:
            eta_ms = random.choice([50, 300, 5_000])
            drive.acknowledge(_pick(drive, random), eta_ms=eta_ms, elapsed_ms=random.randrange(800))
        case 2 if drive.sent:
            drive.give_result(_pick(drive, random))
        case 3 if drive.sent:
            drive.return_it(_pick(drive, random), reason=random.choice(_REASONS))
        case 4:
            _lend(drive, random, random.randrange(_NODES))
        case 5:
            drive.tell(NodeDisconnected(node_id=node_id(random.randrange(_NODES))))
        case 6:
            drive.now_ms += random.choice([0, 5, 30, 200, 600])
            if random.random() < 0.9:  # else the host is held up
                drive.let_due_time_pass()
        case 7:
            faults: list[Event] = [
                BusReconnected(),
                JobWithdrawn(job_id=job_id(step // 2)),
                submitted(job_id(step // 2)),
            ]
            drive.tell(random.choice(faults))
            for number in range(_NODES):
                _lend(drive, random, number)


def _pick(drive: Drive, random: Random) -> SendAssignment:
    live = drive.live()
    return random.choice(live) if live and random.random() < 0.9 else random.choice(drive.sent)


def _lend(drive: Drive, random: Random, number: int) -> None:
    lent = SlotOffer(
        workload=WORKLOAD,
        slots=random.randrange(4),
        lookahead=random.randrange(3),
        benchmark_ms=random.choice([None, 60, 100, 700]),
    )
    drive.tell(offer(node_id(number), lent, session=random.choice([1, 1, 1, 2])))


def digest_in_another_process(*, hash_seed: int) -> str:
    """The digest of one run under another order of sets."""
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "-m", "tests.properties.churn"]
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout) == 65
    return done.stdout


if __name__ == "__main__":
    run = churn(seed=99, steps=200, has_twin=False)
    digest = blake2b(run.coordinator.snapshot(), digest_size=32)
    digest.update(encode(run.sent))
    print(digest.hexdigest())
