"""A real coordinator process: it begins epochs, has answers checked, and writes down what became of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.conftest import Connections, Server
from tests.integration.coordinator_stand import WORKLOAD, Gateway, Node, Stand, answered, eventually, folded, standing

from gridlight.adapters.bus_server import free_port
from gridlight.adapters.signatures import blake3_digest
from gridlight.messages.codec import GatewayEvent
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import JobId
from gridlight.messages.jobs import SendAssignment
from gridlight.messages.results import Detection, encode_detections
from gridlight.messages.trust import LAPTOP, CheckOutcome, EpochBegan, FaultGrade, Role, Tier, Verification
from gridlight.workloads.contract import comparisons

RIGHT = encode_detections([Detection(class_id=6, score=9_000, box=(16, 32, 480, 640))])
WRONG = encode_detections([Detection(class_id=1, score=9_000, box=(16, 32, 480, 640))])
LAPTOP_TABLE = {"profile": "laptop"}


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        yield stand


@pytest.fixture
async def gateway(stand: Stand) -> Gateway:
    return await stand.gateway()


async def started(stand: Stand, gateway: Gateway, **options: Any) -> None:
    stand.launch(**options)
    await gateway.until("the coordinator announces itself", lambda: gateway.announcements)


async def joined(stand: Stand, gateway: Gateway, tier: Tier | None) -> Node:
    gateway.endorsed = tier
    return await stand.node(gateway)


def verification(stand: Stand, job: JobId) -> Verification | None:
    record = stand.store.job(job)
    return None if record is None or record.commit is None else record.commit.verification


async def test_epochs_follow_each_other_also_over_a_power_cut(stand: Stand, gateway: Gateway) -> None:
    first = stand.launch(epoch_s=1)
    await eventually("the second epoch begins", lambda: len(stand.events(EpochBegan)) >= 2)
    first.kill()
    before = stand.events(EpochBegan)
    await started(stand, gateway)
    await eventually("the new process begins one", lambda: len(stand.events(EpochBegan)) > len(before))

    begun = stand.events(EpochBegan)
    assert [one.epoch for one in begun] == list(range(len(before) + 1))
    assert [one.secret for one in begun[1:]] == [one.next_secret for one in begun[:-1]]
    assert len({one.secret for one in begun}) == len(begun)
    core = folded(stand.records())
    assert (core.verification.epoch, core.verification.next_secret) == (begun[-1].epoch, begun[-1].next_secret)
    newest, present, *_ = stand.store.epochs(10)
    assert (newest.epoch, newest.began_ms) == (len(begun), None)
    assert present.epoch == begun[-1].epoch
    assert present.began_ms is not None


async def test_an_epoch_has_begun_before_anything_is_heard(stand: Stand, gateway: Gateway) -> None:
    await started(stand, gateway, trust=LAPTOP_TABLE)

    start, epoch = stand.records()[0].events[:2]
    assert isinstance(start, CoordinatorStarted)
    assert (start.trust, start.comparisons) == (LAPTOP, comparisons())
    assert WORKLOAD in start.comparisons
    assert isinstance(epoch, EpochBegan)
    assert stand.store.trust() == LAPTOP


async def test_an_answer_that_is_audited_and_holds_is_final(stand: Stand, gateway: Gateway) -> None:
    port = free_port("127.0.0.1")
    await started(stand, gateway, trust=LAPTOP_TABLE, metrics_port=port)
    nodes = [await joined(stand, gateway, Tier.TRUSTED) for _ in range(2)]
    gateway.script = lambda send: answered(send, RIGHT)
    [end] = await gateway.run(1)
    await eventually("it is final", lambda: verification(stand, end.job_id) is Verification.FINAL)

    assert end.outcome.verification is Verification.PROVISIONAL
    primary, auditor = sorted(nodes, key=lambda node: node.node_id != end.outcome.node_id)
    [check] = stand.store.checks(10, commit=1)
    assert (check.role, check.outcome, check.verification) == (Role.AUDIT, CheckOutcome.MATCH, Verification.FINAL)
    assert (check.primary_id, check.node_id) == (primary.node_id, auditor.node_id)
    assert {view.tier for view in stand.store.nodes()} == {Tier.TRUSTED}
    assert {view.checks_passed for view in stand.store.nodes()} == {1}
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    assert 'gridlight_verifications_total{method="audit",outcome="match"} 1.0' in text
    assert 'gridlight_nodes_by_tier{tier="trusted"} 2.0' in text


async def test_a_wrong_answer_is_corrected_and_its_node_banned(stand: Stand, gateway: Gateway) -> None:
    await started(stand, gateway, trust={**LAPTOP_TABLE, "faults_forgiven": 0})
    liar = await joined(stand, gateway, Tier.TRUSTED)
    await joined(stand, gateway, Tier.TRUSTED)
    reference = await joined(stand, gateway, Tier.REFERENCE)

    def lie(send: SendAssignment) -> list[GatewayEvent]:
        return answered(send, WRONG if send.node_id == liar.node_id else RIGHT)

    gateway.script = lie
    [end] = await gateway.run(1, pinned_node=liar.node_id)
    await eventually("it is corrected", lambda: verification(stand, end.job_id) is Verification.CORRECTED)

    record = stand.store.job(end.job_id)
    assert record is not None
    assert record.outcome is not None
    assert record.commit is not None
    assert (record.outcome.output, record.commit.output) == (WRONG, RIGHT)
    [fault] = stand.store.faults()
    assert (fault.node_id, fault.grade, fault.role) == (liar.node_id, FaultGrade.FALSE, Role.PRIMARY)
    assert (fault.said, fault.reference) == (blake3_digest(WRONG), blake3_digest(RIGHT))
    assert fault.settled_by == reference.node_id
    known = stand.store.standing(liar.node_id)
    assert known is not None
    assert (known.tier, known.faults) == (Tier.BANNED, 1)


async def test_a_wrong_trust_table_is_refused_with_its_line_before_anything_is_written(stand: Stand) -> None:
    process = stand.launch(trust={"profile": "laptop", "trusted_afte": 3})

    assert await process.ended() != 0
    assert "[trust] has no key trusted_afte; there are profile, trusted_after" in process.errors
    assert "Traceback" not in process.errors
    assert stand.records() == []
