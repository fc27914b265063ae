"""A real agent process with a real worker: what it answers, and what its workers survive."""

import asyncio
import signal
from collections.abc import Iterator

import pytest
from tests.integration.agent_stand import TENSOR, WORKLOAD, Agent, Dispatcher, Door, dispatcher_to
from tests.integration.conftest import Connections, Server

from gridlight.adapters.signatures import blake3_digest
from gridlight.messages.codec import encode
from gridlight.messages.ids import AssignmentId
from gridlight.messages.limits import PROBES_MAX
from gridlight.messages.nodes import CancelWork, RequestOffer
from gridlight.messages.results import ResultSubmitted, decode_detections
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    DeclineReason,
    FailureCode,
)
from gridlight.services.setup import ensure_weights

MEMORY_BYTES_MAX = 50 * 1024 * 1024


@pytest.fixture(scope="module")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A bus for an agent that serves many tests: a worker takes seconds to start."""
    server = Server(tmp_path_factory.mktemp("network"))
    asyncio.run(server.start())
    yield server
    server.kill()


@pytest.fixture(scope="module")
def lasting_agent(lasting_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    ensure_weights(lambda _: None)
    door = Door(lasting_server, workloads=(WORKLOAD,))
    door.open()
    agent = Agent(door.url, tmp_path_factory.mktemp("agent"))
    yield agent
    agent.kill()
    door.close()


@pytest.fixture
async def node(lasting_server: Server, lasting_agent: Agent, connections: Connections) -> Dispatcher:
    """The lasting agent's node, which lends its slot."""
    return await dispatcher_to(lasting_server, lasting_agent, connections)


# What it answers


async def test_an_assignment_is_acknowledged_and_answered_under_the_nodes_key(
    node: Dispatcher, lasting_agent: Agent
) -> None:
    with lasting_agent.frozen_worker():
        taken = await node.assign()
        [ack] = await node.replies(taken, 1)
    result = await node.last_reply(taken)

    assert isinstance(ack.reply, AssignmentAcknowledged)
    assert ack.body == b""
    assert ack.reply.eta_ms > 0
    assert isinstance(result.reply, ResultSubmitted)
    assert (result.reply.output_digest, result.reply.output_bytes) == (blake3_digest(result.body), len(result.body))
    assert decode_detections(result.body) is not None
    assert len(result.reply.probes) == PROBES_MAX
    assert result.reply.timing.infer > 0


async def test_a_result_that_comes_soon_is_all_that_is_said(node: Dispatcher) -> None:
    for _ in range(10):  # a busy machine may be too slow for it now and then
        taken = await node.assign()
        await node.last_reply(taken)
        if [type(reply) for reply in node.heard(taken)] == [ResultSubmitted]:
            return
    pytest.fail("each of ten results came with an acknowledgement of its own")


async def test_equal_inputs_give_equal_outputs(node: Dispatcher) -> None:
    results = [await node.last_reply(await node.assign(body=bytes(range(250)) * 1_080)) for _ in range(2)]

    assert results[0].body == results[1].body
    assert [one.reply.probes for one in results if isinstance(one.reply, ResultSubmitted)] == [
        results[0].reply.probes  # type: ignore[union-attr]  # asserted by the list's length
    ] * 2


async def test_it_acknowledges_before_it_runs_holds_what_it_offers_to_and_declines_what_is_more(
    node: Dispatcher, lasting_agent: Agent
) -> None:
    with lasting_agent.frozen_worker():
        [offered] = node.offers[-1].offers
        taken = [await node.assign() for _ in range(offered.slots + offered.lookahead)]
        for one in taken:
            [ack] = await node.replies(one, 1)
            assert isinstance(ack.reply, AssignmentAcknowledged)
        [declined] = await node.replies(await node.assign(), 1)
    results = [await node.last_reply(one) for one in taken]

    assert isinstance(declined.reply, AssignmentDeclined)
    assert declined.reply.reason is DeclineReason.NO_FREE_SLOT
    assert all(isinstance(one.reply, ResultSubmitted) for one in results)
    assert isinstance((await node.last_reply(await node.assign())).reply, ResultSubmitted)


async def test_a_spoiled_input_is_acknowledged_and_not_run(node: Dispatcher) -> None:
    spoiled = await node.last_reply(await node.assign(digest=blake3_digest(b"something else")))

    assert isinstance(spoiled.reply, AssignmentFailed)
    assert spoiled.reply.code is FailureCode.INPUT_SPOILED
    assert isinstance((await node.last_reply(await node.assign())).reply, ResultSubmitted)


async def test_an_input_of_the_wrong_size_is_the_workers_to_refuse(node: Dispatcher, lasting_agent: Agent) -> None:
    worker = lasting_agent.worker()
    refused = await node.last_reply(await node.assign(body=b"short"))

    assert isinstance(refused.reply, AssignmentFailed)
    assert refused.reply.code is FailureCode.WORKER_ERROR
    assert lasting_agent.worker() == worker


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"workload": "unheard-of@sha256:" + "0" * 64}, DeclineReason.UNKNOWN_WORKLOAD),
        ({"deadline_ms": 1}, DeclineReason.DEADLINE_TOO_SHORT),
    ],
    ids=lambda value: str(value) if isinstance(value, DeclineReason) else "",
)
async def test_what_it_cannot_do_is_declined_at_once(
    node: Dispatcher, asked: dict[str, object], reason: DeclineReason
) -> None:
    [declined] = await node.replies(await node.assign(**asked), 1)  # type: ignore[arg-type]  # options by name

    assert isinstance(declined.reply, AssignmentDeclined)
    assert declined.reply.reason is reason


async def test_what_is_cancelled_ends_as_cancelled_whether_it_runs_or_waits(
    node: Dispatcher, lasting_agent: Agent
) -> None:
    with lasting_agent.frozen_worker():
        taken = [await node.assign() for _ in range(2)]
        for one in taken:
            await node.replies(one, 1)
            await node.control(encode(CancelWork(assignment_id=one)))
        await node.replies(await node.assign(), 1)  # declined: by now the cancellations were heard, too
    ends = [(await node.last_reply(one)).reply for one in taken]

    assert [end.code for end in ends if isinstance(end, AssignmentFailed)] == [FailureCode.CANCELLED] * 2


async def test_an_assignment_that_comes_twice_runs_once(node: Dispatcher, lasting_agent: Agent) -> None:
    with lasting_agent.frozen_worker():
        twice = await node.assign(times=2)
        await node.replies(twice, 1)
    await node.replies(twice, 2)
    await node.last_reply(await node.assign())

    assert [type(reply) for reply in node.heard(twice)] == [AssignmentAcknowledged, ResultSubmitted]


async def test_senseless_messages_are_refused_and_logged(node: Dispatcher, lasting_agent: Agent) -> None:
    before = len(lasting_agent.log("a message refused"))
    strange = AssignmentId("0" * 16)
    for message in (None, b"[]", b"{}", encode(RequestOffer(node_id=node.node_id)), b"\xff"):
        await node.send(strange, message, TENSOR)
        await node.control(message if message is None or b"request" not in message else b'{"type":"node.sing.v1"}')
    offered = len(node.offers)
    await node.ask_again()
    await node.until("it offers", lambda: len(node.offers) > offered)

    refused = lasting_agent.log("a message refused")[before:]
    assert len(refused) == 10
    assert {line["error"].partition(":")[0] for line in refused} == {"malformed"}
    assert node.heard(strange) == []
    assert isinstance((await node.last_reply(await node.assign())).reply, ResultSubmitted)


# What it survives


async def test_a_task_that_waits_past_its_deadline_fails_alone(node: Dispatcher, lasting_agent: Agent) -> None:
    [offer] = node.offers[-1].offers
    assert offer.benchmark_ms is not None
    with lasting_agent.frozen_worker() as worker:
        running = await node.assign()
        await node.replies(running, 1)
        late = (await node.last_reply(await node.assign(deadline_ms=offer.benchmark_ms + 1))).reply
    result = (await node.last_reply(running)).reply

    assert isinstance(late, AssignmentFailed)
    assert late.code is FailureCode.WORKER_TIMEOUT
    assert isinstance(result, ResultSubmitted)
    assert lasting_agent.worker() == worker


async def test_a_run_that_is_late_costs_no_worker(node: Dispatcher, lasting_agent: Agent) -> None:
    [offer] = node.offers[-1].offers
    assert offer.benchmark_ms is not None
    with lasting_agent.frozen_worker() as worker:
        late = await node.assign(deadline_ms=offer.benchmark_ms + 1)
        await node.replies(late, 1)
        waiting = await node.assign(deadline_ms=offer.benchmark_ms + 1)
        await node.replies(waiting, 2)  # its deadline is past, and so is the other's
    result = (await node.last_reply(late)).reply

    assert isinstance(result, ResultSubmitted)
    assert lasting_agent.worker() == worker


async def test_a_worker_that_is_killed_at_work_is_told_and_replaced(node: Dispatcher, lasting_agent: Agent) -> None:
    with lasting_agent.frozen_worker() as worker:
        lost = await node.assign()
        await node.replies(lost, 1)
        worker.send_signal(signal.SIGKILL)
        failed = (await node.last_reply(lost)).reply
        await node.lent(0)
    await node.lent(1)

    assert isinstance(failed, AssignmentFailed)
    assert failed.code is FailureCode.WORKER_CRASHED
    assert lasting_agent.worker() != worker
    assert isinstance((await node.last_reply(await node.assign())).reply, ResultSubmitted)


async def test_beside_its_worker_it_takes_no_more_than_50_mib(node: Dispatcher, lasting_agent: Agent) -> None:
    for _ in range(5):
        await node.last_reply(await node.assign())

    memory_bytes = lasting_agent.process.memory_info().rss
    assert memory_bytes <= MEMORY_BYTES_MAX, f"{memory_bytes / 1024 / 1024:.1f} MiB"
