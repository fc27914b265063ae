"""A banned node whose JWT still holds, on a real server with a real coordinator: it may connect, and gets nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.conftest import Connections, Inbox, Server
from tests.integration.coordinator_stand import Node, Stand, eventually, standing

from gridlight.messages import subjects
from gridlight.messages.codec import node_controls
from gridlight.messages.jobs import JobState
from gridlight.messages.operators import BarCode, KeyRuled, NodeBarred, Verdict

REASON = "wrong answers for sale"


@pytest.fixture
async def stand(server: Server, connections: Connections, tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(server, connections, tmp_path) as stand:
        yield stand


async def test_a_banned_node_that_comes_back_with_its_old_jwt_is_told_and_cut_and_gets_no_task(
    server: Server, stand: Stand, connections: Connections
) -> None:
    gateway = await stand.gateway()
    await stand.start(gateway)
    other = await stand.node(gateway)
    credentials = server.node()
    banned = Node(credentials, await connections.open(server, credentials, reconnect=False))
    await banned.follow()
    await gateway.enrol(banned.node_id)
    await banned.lend()
    await eventually("it is online", lambda: stand.node_is_online(banned.node_id))
    word = KeyRuled(gateway_id=gateway.gateway_id, key=banned.node_id, verdict=Verdict.BANNED, reason=REASON)

    await gateway.tell([word])
    await eventually("it is cut", lambda: not banned.bus.is_connected)

    for number, offers in ((1, True), (2, False)):  # with an offer, and again without a word
        banned.bus = await connections.open(server, credentials, reconnect=False)
        banned.session, heard = f"{number + 1:016x}", Inbox()
        await banned.bus.subscribe(subjects.node_tasks(banned.node_id), heard)
        await banned.bus.flush()
        if offers:
            await banned.lend()
            told = node_controls.decode((await heard.next()).message or b"")
            assert told == NodeBarred(node_id=banned.node_id, code=BarCode.BANNED, reason=REASON)
        done = await gateway.run(*range(10 * number, 10 * number + 8))
        [pinned] = await gateway.run(10 * number + 8, pinned_node=banned.node_id)

        assert {end.outcome.node_id for end in done} == {other.node_id}
        assert pinned.outcome.state is not JobState.DONE
        assert {send.node_id for send in gateway.sends} == {other.node_id}
        assert heard.count == 0, "nothing was sent to it but that it is barred"
        assert not stand.node_is_online(banned.node_id)
        if offers:
            await eventually("it is cut again", lambda: not banned.bus.is_connected)
    assert banned.bus.is_connected, "its JWT holds, and does not help"
