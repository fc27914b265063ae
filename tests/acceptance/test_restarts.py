"""Processes are killed and frozen under load: no request is silent, and everything comes back by itself."""

import asyncio
import time
from pathlib import Path

import psutil
from tests.acceptance.callers import Callers, Ended, ask
from tests.acceptance.stand import Network, are_gone, frozen, is_answered_by, kill, picture_process_of, until, worker_of

from gridlight.adapters.bus import Bus
from gridlight.adapters.certificates import brought_certificate
from gridlight.adapters.clock import wall_s
from gridlight.adapters.credentials import NodeCredentials
from gridlight.adapters.endorsements import read_endorsement
from gridlight.adapters.signatures import SigningKey
from gridlight.client.requester import Gridlight
from gridlight.messages.ids import NodeId
from gridlight.services.agent.gateway_api import GatewayApi

CALLERS = 8
DEADLINE_MS = 4_000
COORDINATOR_BACK_S = 5.0
BACK_S = 15.0
FREEZE_S = 8.0
WARM = 24
"""Answers before the blow, so that it falls into a steady load."""


def warm(callers: Callers) -> None:
    """Wait for a steady load."""
    until(lambda: len(callers.answered) >= WARM, 20, "the callers to be answered")


def check_no_silence(callers: Callers) -> None:
    """Every request that was ever sent ended in time, with a result or a refusal that says what and what to do."""
    silent = [str(one) for one in callers.ends if not one.is_explicit]
    late = [str(one) for one in callers.ends if one.lasted_ms > DEADLINE_MS]
    assert silent == []
    assert late == []


def check_readable(network: Network, finished: list[Ended]) -> None:
    """What was answered before the blow can still be read, and says the same."""
    assert finished
    with Gridlight(network.url) as requester:
        for one in finished:
            assert one.response is not None
            view = requester.request(one.response.id)
            assert view.state == "done"
            assert view.result is not None
            assert view.result.detections == one.response.detections


def role_pid(network: Network, role: str) -> int:
    """Of the one process of a role."""
    [pid] = network.process_ids(role)
    return pid


def check_restarted(network: Network, role: str, killed: int) -> None:
    """The supervisor started another one, and the file names it."""
    until(lambda: role_pid(network, role) != killed, BACK_S, f"the file to name the new {role}")
    assert psutil.Process(role_pid(network, role)).ppid() == network.up.pid


def test_a_killed_coordinator_is_back_within_5_s_and_nodes_need_no_restart(disturbed: Network, bus: Path) -> None:
    agents, killed = disturbed.agents(), role_pid(disturbed, "coordinator")
    with Callers(disturbed.url, bus, CALLERS) as callers:
        warm(callers)
        killed_s = time.monotonic()
        kill(killed)
        until(
            lambda: callers.answered_since(killed_s),
            COORDINATOR_BACK_S,
            "a request asked after the kill to be answered",
        )
        until(lambda: len(callers.answered_since(killed_s)) > WARM, BACK_S, "a steady load")

    assert callers.in_flight_at(killed_s)
    check_no_silence(callers)
    check_readable(disturbed, [one for one in callers.answered if one.ended_s < killed_s])
    check_restarted(disturbed, "coordinator", killed)
    assert disturbed.agents() == agents


def test_a_killed_bus_comes_back_and_so_do_the_nodes(disturbed: Network, bus: Path) -> None:
    agents, killed = disturbed.agents(), role_pid(disturbed, "nats")
    with Callers(disturbed.url, bus, CALLERS) as callers:
        warm(callers)
        killed_s = time.monotonic()
        kill(killed)
        until(lambda: len(callers.answered_since(killed_s)) > WARM, BACK_S, "a steady load after the kill")

    check_no_silence(callers)
    check_restarted(disturbed, "nats", killed)
    disturbed.settle(bus)
    assert disturbed.agents() == agents, "no agent was restarted"


def test_a_killed_gateway_is_restarted_and_serves(disturbed: Network, bus: Path) -> None:
    agents, killed = disturbed.agents(), role_pid(disturbed, "gateway")
    with Callers(disturbed.url, bus, CALLERS) as callers:
        warm(callers)
        pictures = picture_process_of(disturbed)
        killed_s = time.monotonic()
        kill(killed)
        until(lambda: len(callers.answered_since(killed_s)) > WARM, BACK_S, "a steady load after the kill")

    assert are_gone([pictures])
    check_readable(disturbed, [one for one in callers.answered if one.ended_s < killed_s])
    check_restarted(disturbed, "gateway", killed)
    assert disturbed.agents() == agents


def test_a_frozen_bus_ends_every_request_and_goes_on_when_it_wakes(disturbed: Network, bus: Path) -> None:
    agents, bus_process = disturbed.agents(), psutil.Process(role_pid(disturbed, "nats"))
    with Callers(disturbed.url, bus, CALLERS) as callers:
        warm(callers)
        frozen_s = time.monotonic()
        with frozen(bus_process):
            until(
                lambda: time.monotonic() > frozen_s + FREEZE_S, 2 * FREEZE_S, "the bus to have been frozen long enough"
            )
        woken_s = time.monotonic()
        until(lambda: len(callers.answered_since(woken_s)) > WARM, BACK_S, "a steady load after the waking")

    check_no_silence(callers)
    disturbed.settle(bus)
    assert role_pid(disturbed, "nats") == bus_process.pid
    assert disturbed.agents() == agents


def test_every_process_but_up_may_be_killed_at_once(disturbed: Network, bus: Path) -> None:
    killed = disturbed.read().processes
    with Gridlight(disturbed.url) as requester:
        before = requester.detect(bus)

        for one in killed:
            kill(one.pid)

        until(lambda: disturbed.answers(bus), BACK_S, "an answer")
        result = requester.request(before.id).result
        assert result is not None
        assert result.detections == before.detections
    disturbed.settle(bus)
    assert not {one.pid for one in disturbed.read().processes} & {one.pid for one in killed}


def test_an_old_connection_that_closes_late_takes_no_node_out(disturbed: Network, bus: Path) -> None:
    [node_id, agent] = next(iter(disturbed.agents().items()))
    [data] = [one.data for one in disturbed.read().processes if one.node_id == node_id]

    asyncio.run(connect_and_close(disturbed.url, Path(data or "")))

    with disturbed.administrator() as administrator:
        until(lambda: is_answered_by(administrator, bus, node_id), BACK_S, "the node to serve")
    assert disturbed.agents()[node_id] == agent


async def connect_and_close(url: str, data: Path) -> None:
    """As the node itself: a further connection that closes while the agent's own stands."""
    key = SigningKey.load_or_create(data / "node.nk")
    endorsement = read_endorsement(data / "endorsement", NodeId(key.public))
    certificate = brought_certificate(data, NodeId(key.public), now_ms=wall_s() * 1_000)
    enrolment = GatewayApi(url).enrol(key, certificate, endorsement)
    credentials = NodeCredentials(jwt=enrolment.user_jwt, key=key)
    connection = await Bus.connect(
        url=enrolment.nats_url, name="an old connection", credentials=credentials, reconnect=False
    )
    await connection.close()


def test_a_killed_node_under_load_costs_no_request(disturbed: Network, bus: Path) -> None:
    [doomed, *_] = disturbed.agents().items()
    with Callers(disturbed.url, bus, CALLERS) as callers:
        warm(callers)
        killed_s = time.monotonic()
        kill(doomed[1].pid)
        until(lambda: len(callers.answered_since(killed_s)) > WARM, BACK_S, "a steady load after the kill")
        until(lambda: disturbed.agents()[doomed[0]] != doomed[1], BACK_S, "the file to name the new agent")

    assert [str(one) for one in callers.refused] == []
    check_no_silence(callers)


def test_a_killed_picture_process_costs_no_request(disturbed: Network, bus: Path) -> None:
    killed = picture_process_of(disturbed)
    with Gridlight(disturbed.url) as requester:
        killed.kill()
        until(lambda: are_gone([killed]), BACK_S, "the process to be gone")
        ended = ask(requester, bus)

    assert ended.response is not None, str(ended)
    assert picture_process_of(disturbed) != killed


def test_a_node_whose_idle_worker_was_killed_lends_nothing_until_it_has_a_new_one(
    disturbed: Network, bus: Path
) -> None:
    [node_id, agent] = next(iter(disturbed.agents().items()))
    with disturbed.administrator() as administrator:
        worker_of(agent).kill()
        until(lambda: not slots(administrator, node_id), BACK_S, "the node to take its offer back")
        until(lambda: slots(administrator, node_id), BACK_S, "the node to offer again")
        ended = ask(administrator, bus, node=node_id)

    assert ended.response is not None, str(ended)
    assert disturbed.agents()[node_id] == agent


def slots(requester: Gridlight, node_id: NodeId) -> int:
    """How many a node lends."""
    [node] = [one for one in requester.nodes().nodes if one.node_id == node_id]
    return node.slots
