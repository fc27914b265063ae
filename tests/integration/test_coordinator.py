"""A real coordinator process: killed, doubled, starved of disk, lied to; what it said before stays true."""

import resource
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.conftest import Connections, Server
from tests.integration.coordinator_stand import (
    SLOTS,
    WORKLOAD,
    Gateway,
    Stand,
    acknowledged,
    answered,
    eventually,
    folded,
    standing,
)
from tests.integration.proxies import proxy

from gridlight.adapters.bus_server import free_port
from gridlight.adapters.changes import Changes
from gridlight.adapters.journal import Journal, Record
from gridlight.core.coordinator import CORE_VERSION
from gridlight.messages.codec import GatewayEvent, encode
from gridlight.messages.host import BusReconnected, CoordinatorStarted, TimePassed
from gridlight.messages.ids import JobId
from gridlight.messages.jobs import JobCode, JobState, JobSubmitted, SendAssignment
from gridlight.messages.limits import BATCH_MESSAGES_MAX
from gridlight.messages.nodes import NodeDisconnected, OfferChanged

LOAD = 300


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        yield stand


@pytest.fixture
async def gateway(stand: Stand) -> Gateway:
    return await stand.gateway()


def number_of(job: JobId) -> int:
    return int(job.removeprefix("req_"))


def leave_every_fifth_open(send: SendAssignment) -> list[GatewayEvent]:
    return answered(send) if number_of(send.job_id) % 5 else [acknowledged(send)]


def check_said_once(stand: Stand, gateway: Gateway) -> None:
    """Whatever was said of a job, however often, is one thing, and is what the read model says."""
    for job, ends in gateway.ends.items():
        assert all(end.outcome == ends[0].outcome for end in ends), job
        assert [end.is_repeated for end in ends].count(False) <= 1, job
        assert stand.stored(job) == ends[0].outcome, job


def check_no_gap(records: list[Record]) -> None:
    """One record after the other, and time never goes back."""
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    times = [record.now_ms for record in records]
    assert times == sorted(times)


async def test_a_coordinator_killed_under_load_ends_what_was_open_and_repeats_what_had_ended(
    stand: Stand, gateway: Gateway
) -> None:
    first = await stand.start(gateway)
    for _ in range(2):
        await stand.node(gateway)
    gateway.script = leave_every_fifth_open
    for start in range(1, LOAD + 1, 10):
        await gateway.submit(*range(start, start + 10))
    await gateway.until("a third ends", lambda: len(gateway.ends) >= LOAD // 3)
    first.kill()
    await gateway.submit(*range(LOAD + 1, LOAD + 51))
    open_then = {task.job.job_id for task in folded(stand.records()).scheduling.placement.table.open_tasks()}
    ended_then = list(gateway.ends)
    gateway.script = answered
    await stand.start(gateway)
    await gateway.tell(gateway.jobs[job] for job in ended_then)
    await gateway.until(
        "every job ends, and those that had ended again",
        lambda: not gateway.open_jobs() and all(len(gateway.ends[job]) > 1 for job in ended_then),
    )

    assert len(open_then) >= 10
    for job in open_then:
        assert gateway.ends[job][0].outcome.code is JobCode.COORDINATOR_RESTARTED
        assert gateway.ends[job][0].outcome.retry_after_ms is not None
    for job in ended_then:
        assert gateway.ends[job][0].outcome.state is JobState.DONE
        assert gateway.ends[job][-1].is_repeated
    assert {gateway.ends[job][0].outcome.state for job in gateway.jobs if number_of(job) > LOAD} == {JobState.DONE}
    check_said_once(stand, gateway)
    check_no_gap(stand.records())
    folded(stand.records())


async def test_nothing_is_heard_before_the_start(stand: Stand, gateway: Gateway) -> None:
    stand.launch()
    number = 0
    while not stand.events(JobSubmitted):  # told to nobody at first, then to one that is just being born
        number += 1
        await gateway.tell([gateway.job(number, deadline_ms=60_000, pinned_node=None)])
        await gateway.sent()

    assert type(stand.records()[0].events[0]) is CoordinatorStarted
    assert {end.outcome.code for ends in gateway.ends.values() for end in ends} <= {JobCode.NO_NODE_ONLINE}


async def test_a_clean_stop_keeps_what_a_whole_fold_would_tell(stand: Stand, gateway: Gateway) -> None:
    first = await stand.start(gateway)
    await stand.node(gateway)
    gateway.script = leave_every_fifth_open
    await gateway.submit(*range(1, 51))
    await gateway.until("four fifths end", lambda: len(gateway.ends) == 40)
    assert await first.stop() == 0

    records = stand.records()
    assert stand.snapshot() == (records[-1].sequence, folded(records).snapshot())
    await stand.start(gateway)
    await gateway.until("the others end", lambda: not gateway.open_jobs())
    assert {gateway.ends[job][0].outcome.code for job in gateway.jobs if not number_of(job) % 5} == {
        JobCode.COORDINATOR_RESTARTED
    }
    check_said_once(stand, gateway)


async def test_the_slower_of_two_coordinators_stops_and_says_nothing(stand: Stand, gateway: Gateway) -> None:
    slower = await stand.start(gateway)
    await stand.node(gateway)
    await gateway.run(1)
    quicker = await stand.start(gateway)
    [end] = await gateway.run(2)

    assert await slower.ended() != 0
    assert "JournalFenced: record" in slower.errors
    assert end.outcome.state is JobState.DONE
    assert len(gateway.ends[end.job_id]) == 1
    assert len([send for send in gateway.sends if send.job_id == end.job_id]) == 1
    check_no_gap(stand.records())
    await gateway.run(3)
    assert quicker.is_running


async def test_a_coordinator_that_cannot_write_ends_and_performs_nothing_of_that_batch(
    stand: Stand, gateway: Gateway
) -> None:
    first = await stand.start(gateway)
    await stand.node(gateway)
    await gateway.run(1)
    wal_bytes = (stand.folder / "gridlight.db-wal").stat().st_size
    resource.prlimit(first.pid, resource.RLIMIT_FSIZE, (wal_bytes, wal_bytes))
    before = len(gateway.sends)
    await gateway.submit(*range(2, 12))
    assert await first.ended() != 0

    assert "OperationalError" in first.errors
    assert len(gateway.sends) == before
    assert all(stand.stored(job) is None for job in list(gateway.jobs)[1:])
    await stand.start(gateway)
    await gateway.until("the jobs that nobody took end", lambda: not gateway.open_jobs())
    assert {ends[0].outcome.state for ends in gateway.ends.values()} == {JobState.DONE}
    check_no_gap(stand.records())


async def test_another_cores_journal_is_refused_in_a_sentence(stand: Stand) -> None:
    journal = Journal(stand.database_url)
    journal.commit(Record(1, 1_000, CORE_VERSION + 1, [TimePassed()]), Changes(1_000, [], []))
    journal.close()
    process = stand.launch()

    assert await process.ended() != 0
    assert f"record 1 was written by core version {CORE_VERSION + 1}, this is {CORE_VERSION}: start" in process.errors
    assert len(stand.records()) == 1


async def test_what_is_no_list_of_events_is_refused_and_logged(stand: Stand, gateway: Gateway) -> None:
    process = await stand.start(gateway)
    await stand.node(gateway)
    job = gateway.job(1, deadline_ms=1_000, pinned_node=None)
    for said in (
        b"",
        b"{not json",
        encode(job),
        encode([job, TimePassed()]),
        encode([job] * (BATCH_MESSAGES_MAX + 1)),
        encode([job]).replace(b"req_", b"job_"),
    ):
        await gateway.say(said)
    await gateway.run(2)

    refused = process.log("a gateway's events refused")
    assert [line["error"].partition(":")[0] for line in refused] == ["malformed"] * 6
    assert [event.job_id for event in stand.events(JobSubmitted)] == list(gateway.jobs)


async def test_a_forged_or_senseless_offer_is_refused_and_logged(stand: Stand, gateway: Gateway) -> None:
    process = await stand.start(gateway)
    victim, forger = await stand.node(gateway), await stand.node(gateway)
    offers = len(stand.events(OfferChanged))
    victim_offer = victim.offer()
    for said in (None, b"[]", encode(victim_offer), encode(victim_offer).replace(b'"slots":100', b'"slots":-1')):
        await forger.say(said)
    await forger.bus.flush()
    await gateway.run(1)

    refused = process.log("an offer refused")
    assert [line["node_id"] for line in refused] == [forger.node_id] * 4
    assert [line["error"].partition(":")[0] for line in refused] == [
        "malformed",
        "malformed",
        "it names another node",
        "malformed",
    ]
    assert len(stand.events(OfferChanged)) == offers


async def test_an_offer_that_repeats_is_not_journalled_and_one_that_changes_is(stand: Stand, gateway: Gateway) -> None:
    await stand.start(gateway)
    node = await stand.node(gateway)
    first = stand.events(OfferChanged)
    for _ in range(5):
        await node.lend()
    node.slots = 7
    await node.lend()
    await eventually("the change is journalled", lambda: len(stand.events(OfferChanged)) > len(first))

    assert stand.events(OfferChanged) == [*first, node.offer()]


async def test_a_node_that_leaves_is_offline_at_once(stand: Stand, gateway: Gateway) -> None:
    await stand.start(gateway)
    node = await stand.node(gateway)
    await node.bus.close()
    await eventually("the node is offline", lambda: not stand.node_is_online(node.node_id))

    assert stand.events(NodeDisconnected) == [NodeDisconnected(node_id=node.node_id)]
    [end] = await gateway.run(1, pinned_node=node.node_id)
    assert end.outcome.code is JobCode.NODE_NOT_ONLINE


async def test_a_service_that_leaves_is_no_node(stand: Stand, gateway: Gateway) -> None:
    await stand.start(gateway)
    await stand.node(gateway)
    passing = await stand.connections.open(stand.server, stand.server.privileged())
    await passing.close()
    await gateway.run(1)

    assert stand.events(NodeDisconnected) == []


async def test_a_lost_bus_is_told_only_when_both_connections_are_back(stand: Stand, gateway: Gateway) -> None:
    async with proxy(stand.server.port) as between:
        process = await stand.start(gateway, nats_url=between.url)
        node = await stand.node(gateway)
        asked, announced = node.asked, gateway.announcements
        between.hold(b'"coordinator presence"')
        between.cut()
        await eventually("the second connection is tried", lambda: between.held_back)
        while not stand.events(JobSubmitted):  # until the first connection is back, nobody hears
            await gateway.submit(1)
            await gateway.sent()
        await gateway.until("the job ends", lambda: gateway.ends)
        assert stand.events(BusReconnected) == []
        between.release()
        await gateway.until("gateways are told", lambda: gateway.announcements > announced)
        await eventually("the node is asked again and is online", lambda: node.asked > asked)

        assert len(stand.events(BusReconnected)) == 1
        [end] = await gateway.run(2)
        assert end.outcome.state is JobState.DONE
        assert await process.stop() == 0


async def test_the_bus_itself_may_be_killed(stand: Stand, gateway: Gateway) -> None:
    process = await stand.start(gateway)
    node = await stand.node(gateway)
    stand.server.kill()
    await stand.server.start()
    await eventually("the coordinator is back", lambda: stand.events(BusReconnected))
    await eventually("the node and the gateway are back", lambda: node.bus.is_connected and gateway.is_connected)
    node.session = f"{2:016x}"
    await node.lend()
    [end] = await gateway.run(1)

    assert end.outcome.state is JobState.DONE
    assert process.is_running


async def test_each_gateway_hears_its_own_in_few_messages(stand: Stand, gateway: Gateway) -> None:
    await stand.start(gateway)
    other = await stand.gateway()
    node = await stand.node(gateway)
    gateway.script = other.script = lambda _: []
    gateway.messages.clear()
    jobs = [
        (gateway if number % 2 else other).job(number, deadline_ms=60_000, pinned_node=None) for number in range(1, 101)
    ]
    await gateway.tell(jobs)  # one batch, whoever told it
    await gateway.until("its half is sent", lambda: len(gateway.sends) == 50)
    await other.until("the other half is sent", lambda: len(other.sends) == 50)

    assert {number_of(send.job_id) % 2 for send in gateway.sends} == {1}
    assert {number_of(send.job_id) % 2 for send in other.sends} == {0}
    assert (gateway.messages, other.messages) == ([50], [50])
    assert {send.node_id for send in gateway.sends + other.sends} == {node.node_id}
    assert {send.assignment.workload for send in gateway.sends} == {WORKLOAD}


async def test_its_figures_can_be_scraped_on_this_machine(stand: Stand, gateway: Gateway) -> None:
    port = free_port("127.0.0.1")
    stand.launch(metrics_port=port)
    await gateway.until("the coordinator announces itself", lambda: gateway.announcements)
    await stand.node(gateway)
    await gateway.run(1, 2, 3)
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text

    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert figures['gridlight_nodes{state="online"}'] == "1.0"
    assert figures['gridlight_assignments_total{event="dispatched"}'] == "3.0"
    assert figures["gridlight_events_dropped_total"] == "0.0"
    assert figures[f'gridlight_slots_lent{{tier="trusted",workload="{WORKLOAD}"}}'] == f"{SLOTS}.0"
