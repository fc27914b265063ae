"""The gateway keeps inputs for those who are asked to check an answer, and lets them go; real HTTP, a real bus."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.conftest import WAIT_S, Connections, Server
from tests.integration.gateway_stand import OUTPUT, Node, Stand, add_node, standing
from tests.integration.test_gateway import jpeg

from gridlight.messages.jobs import JobSubmitted
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import Assignment, AssignmentUndeliverable, UndeliverableReason
from gridlight.messages.trust import KeepInput, ReleaseInput


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as one:
        yield one


@pytest.fixture
async def node(stand: Stand, connections: Connections) -> Node:
    return await add_node(stand, connections)


@pytest.fixture
async def checker(stand: Stand, connections: Connections, node: Node) -> Node:
    """Another node, to which no job goes by itself."""
    other = await add_node(stand, connections)
    stand.coordinator.node_id = node.node_id
    return other


async def test_a_second_node_gets_the_input_after_the_job_has_ended(stand: Stand, node: Node, checker: Node) -> None:
    stand.coordinator.keep_ms = 30_000
    answer = await stand.detect(jpeg())
    (job,) = await stand.coordinator.heard(JobSubmitted)
    assert answer.status_code == 200

    asked = await stand.coordinator.ask_again(job, checker.node_id)

    async with asyncio.timeout(WAIT_S):
        assignment = await checker.assigned.get()  # whose script holds the input against its digest
    assert assignment.assignment_id == asked
    _, checked = await stand.coordinator.heard(ResultSubmitted, 2)
    assert (checked.node_id, checked.output) == (checker.node_id, OUTPUT)
    assert await stand.metric('gridlight_inputs_kept{kind="check"}') == 1


async def test_an_assignment_that_checks_says_nothing_of_it(stand: Stand, node: Node, checker: Node) -> None:
    stand.coordinator.keep_ms = 30_000
    await stand.detect(jpeg())
    (job,) = await stand.coordinator.heard(JobSubmitted)
    await stand.coordinator.ask_again(job, checker.node_id)

    async with asyncio.timeout(WAIT_S):
        first: Assignment = await node.assigned.get()
        second: Assignment = await checker.assigned.get()

    differing = {name for name in Assignment.__struct_fields__ if getattr(first, name) != getattr(second, name)}
    assert differing == {"assignment_id"}


@pytest.mark.parametrize("why", ["never kept", "expired", "released"])
async def test_an_input_that_is_gone_is_reported(stand: Stand, node: Node, checker: Node, why: str) -> None:
    stand.coordinator.keep_ms = None if why == "never kept" else 1 if why == "expired" else 30_000
    await stand.detect(jpeg())
    (job,) = await stand.coordinator.heard(JobSubmitted)
    if why == "released":
        await stand.coordinator.say(ReleaseInput(job_id=job.job_id, gateway_id=job.gateway_id))
    if why == "expired":
        await asyncio.sleep(0.01)

    asked = await stand.coordinator.ask_again(job, checker.node_id)

    (event,) = await stand.coordinator.heard(AssignmentUndeliverable)
    assert (event.assignment_id, event.reason) == (asked, UndeliverableReason.INPUT_GONE)
    assert checker.assigned.empty()


async def test_an_expired_input_leaves_the_memory_although_nobody_asks(stand: Stand, node: Node) -> None:
    stand.coordinator.keep_ms = 100
    await stand.detect(jpeg())

    async with asyncio.timeout(WAIT_S):
        while await stand.metric('gridlight_inputs_kept{kind="check"}'):  # noqa: ASYNC110  (asked from outside)
            await asyncio.sleep(0.05)


async def test_a_requester_who_hangs_up_does_not_take_a_kept_input_along(
    stand: Stand, node: Node, checker: Node
) -> None:
    node.script = lambda assignment, _: [node.ack(assignment)]
    asking = asyncio.ensure_future(stand.detect(jpeg(), deadline_ms=60_000))
    (job,) = await stand.coordinator.heard(JobSubmitted)
    async with asyncio.timeout(WAIT_S):
        await node.assigned.get()
    await stand.coordinator.say(KeepInput(job_id=job.job_id, gateway_id=job.gateway_id, keep_ms=30_000))
    async with asyncio.timeout(WAIT_S):
        while not await stand.metric('gridlight_inputs_kept{kind="check"}'):  # noqa: ASYNC110  (asked from outside)
            await asyncio.sleep(0.01)

    asking.cancel()
    await stand.withdrawn()
    await stand.coordinator.ask_again(job, checker.node_id)

    async with asyncio.timeout(WAIT_S):
        await checker.assigned.get()
