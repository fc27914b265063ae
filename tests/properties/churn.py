"""A busy network with faults, drawn from a seed: most nodes answer, some late, some never, some twice.

`python -m tests.properties.churn` prints the digest of one run.
"""

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from random import Random

import msgspec
from tests.properties.drive import Drive
from tests.unit.core.world import OTHER_WORKLOAD, WORKLOAD, enrolled, job_id, node_id, offer, submitted

from gridlight.messages.codec import Event, encode
from gridlight.messages.host import BusReconnected
from gridlight.messages.jobs import JobWithdrawn, SendAssignment
from gridlight.messages.nodes import NodeDisconnected, OwnerState, SlotOffer
from gridlight.messages.tasks import DeclineReason, FailureCode, UndeliverableReason
from gridlight.messages.trust import LAPTOP, Assurance, Tier

_ROOT = Path(__file__).parent.parent.parent
_NODES = 32
_REFERENCES = (30, 31)
_NEWCOMERS = (24, 25, 26, 27, 28, 29)
_LIARS = (3, 4, 10, 13, 25)
_REASONS = [*DeclineReason, *FailureCode, *UndeliverableReason]


TRUST = msgspec.structs.replace(
    LAPTOP,
    trusted_after=4,
    age_ms_min=2_000,
    audit_ppm_min=100_000,
    reference_ppm=100_000,
    canary_ppm=300_000,
    shadow_ppm=400_000,
    forced_audits=5,
    settle_ms_min=5_000,
    settle_ms_max=10_000,
    settle_tasks=3,
    settle_grace_ms=30_000,
    are_prefixes_distinct=True,
)
"""Everything that verification does happens often."""


def churn(seed: int, *, steps: int, has_twin: bool = True, is_patient: bool = False) -> Drive:
    """Run it to the end, checked at each step."""
    random, drive = Random(seed), Drive(TRUST, is_patient=is_patient)
    drive.start(seed, (WORKLOAD, OTHER_WORKLOAD))
    drive.begin_epoch()
    for number in range(_NODES):
        _enrol(drive, number)
        _lend(drive, random, number)
    for step in range(steps):
        if step == steps // 8:
            drive.liars = {node_id(number) for number in _LIARS}
        _step(drive, random, step)
        if has_twin and step % 200 == 50:
            drive.take_twin()
    drive.finish()
    return drive


def _step(drive: Drive, random: Random, step: int) -> None:
    match random.choices(range(8), weights=(30, 25, 70, 4, 3, 2, 40, 1))[0]:
        case 0:
            deadline_ms = random.choice([800, 2_000, 4_000, 8_000])
            pinned = node_id(random.randrange(_NODES)) if random.random() < 0.1 else None
            job = submitted(
                job_id(step),
                deadline_ms=deadline_ms,
                pinned_node=pinned,
                assurance=random.choices(list(Assurance), weights=(2, 6, 2, 1))[0],
                is_public=random.random() < 0.7,
            )
            drive.tell(job)
        case 1 if drive.sent:
            eta_ms = random.choice([50, 300, 5_000])
            drive.acknowledge(_pick(drive, random), eta_ms=eta_ms, elapsed_ms=random.randrange(800))
        case 2 if drive.sent:
            somebody_else = node_id(random.randrange(_NODES)) if random.random() < 0.05 else None
            drive.give_result(_pick(drive, random), somebody_else)
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
            drive.begin_epoch()
            _enrol(drive, random.randrange(_NODES))
            for number in range(_NODES):
                _lend(drive, random, number)


def _pick(drive: Drive, random: Random) -> SendAssignment:
    live = drive.live()
    return random.choice(live) if live and random.random() < 0.9 else random.choice(drive.sent)


def _enrol(drive: Drive, number: int) -> None:
    """Most operators have one node, some have two or three; every fourth node's address is unknown."""
    endorsed = Tier.REFERENCE if number in _REFERENCES else None if number in _NEWCOMERS else Tier.TRUSTED
    operator = node_id(number - number % 3) if number < 9 else node_id(number)
    prefix = "" if number % 4 == 0 else f"10.0.{number % 24}.0/24"
    drive.tell(enrolled(node_id(number), operator=operator, endorsed=endorsed, prefix=prefix))


def _lend(drive: Drive, random: Random, number: int) -> None:
    lent = SlotOffer(
        workload=WORKLOAD,
        slots=random.randrange(4),
        lookahead=random.randrange(3),
        benchmark_ms=random.choice([None, 60, 100, 700]),
    )
    said = offer(node_id(number), lent, session=random.choice([1, 1, 1, 2]))
    drive.tell(msgspec.structs.replace(said, owner_state=random.choice([*OwnerState])))


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
