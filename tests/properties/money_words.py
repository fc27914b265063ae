"""What the machine of `money_machine` speaks of: requesters and nodes, jobs that are paid for, what it remembers."""

from collections import Counter

import msgspec
from tests.unit.core.world import WORKLOAD, node_id

from gridlight.messages.host import RecordNode
from gridlight.messages.ids import Blake3Digest, GatewayId, JobId, NodeId
from gridlight.messages.jobs import JobSubmitted
from gridlight.messages.ledger import Entry, MoneyParameters
from gridlight.messages.nodes import NodeEnrolled
from gridlight.messages.trust import Assurance, Verification

REQUESTERS = ("anna", "emil")
NODES = 4
HOLD_MS, HOLD_TASKS = 2 * 86_400_000, 1
REWARD, FEE = 1_000, 100
GATEWAY = GatewayId("gateway-1")
DIGEST = Blake3Digest("ab" * 32)
MONEY = MoneyParameters(hold_ms=HOLD_MS, hold_tasks=HOLD_TASKS, slash_rewards_max=3)
FOR_GOOD = (Verification.FINAL, Verification.CORRECTED, Verification.VOID)


def enrolled(node: int) -> RecordNode:
    """Two nodes of each operator."""
    word = NodeEnrolled(
        gateway_id=GATEWAY,
        node_id=node_id(node),
        operator=node_id(100 + node // 2),
        agent_version="1",
        cpus=1,
        memory_mib=1_024,
    )
    return RecordNode(enrolled=word, is_online=True, slots=1, workloads=(WORKLOAD,))


def operator(node: int) -> NodeId:
    return node_id(100 + node // 2)


def paid_job(job: JobId, account: str, assurance: Assurance) -> JobSubmitted:
    """A job that this account pays for."""
    return JobSubmitted(
        job_id=job,
        gateway_id=GATEWAY,
        workload=WORKLOAD,
        deadline_ms=4_000,
        input_digest=DIGEST,
        input_bytes=1,
        assurance=assurance,
        account_id=account,
    )


def assert_bounded(entry: Entry, before: Counter[str]) -> None:
    """P1: an entry makes nothing. P8: what leaves hold-back and stake is bounded. P63: an answer earns its reward."""
    assert sum(posting.amount for posting in entry.postings) == 0, "an entry makes something of nothing"
    kind = entry.key.partition(":")[0]
    for posting in entry.postings:
        if kind == "slash" and posting.amount < 0:
            most = min(before[posting.account], MONEY.slash_rewards_max * REWARD)
            assert -posting.amount <= most, "more was slashed than may be"
        if kind == "claw" and posting.amount < 0:
            assert -posting.amount <= before[posting.account], "more was clawed back than was pending"
        if posting.account.endswith(":pending") and posting.amount < 0:
            assert kind in ("vest", "claw"), "what is held back left by another way"
        if kind == "final" and posting.amount > 0:
            assert posting.amount == REWARD, "an answer earned another amount than its reward"


class Told(msgspec.Struct):
    """What the test itself knows of one paid task."""

    account: str
    assurance: Assurance
    commit: int = 0
    node: int = 0
    known: Verification | None = None
    is_bound: bool = False
    checks: int = 0
