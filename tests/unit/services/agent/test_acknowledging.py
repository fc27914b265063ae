"""An acknowledgement waits for a result that comes soon, and then is not sent at all."""

import asyncio

import pytest
from tests.unit.core.world import DIGEST, OUTPUT, node_id

from gridlight.core.agent import Reply
from gridlight.messages.ids import AssignmentId
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import (
    AssignmentAcknowledged,
    AssignmentDeclined,
    AssignmentFailed,
    DeclineReason,
    FailureCode,
)
from gridlight.services.agent.acknowledging import WAIT_MS_MAX, WAIT_SHARE, Acknowledgements

NODE = node_id(1)
LONG_MS = 4_000
SHORT_MS = 10 * WAIT_SHARE
"""A deadline of which an acknowledgement waits for 10 ms."""
PATIENCE_S = 5.0


class Wire:
    """What was sent, in order."""

    def __init__(self) -> None:
        self.sent: list[Reply] = []
        self.more = asyncio.Event()
        self.acknowledgements = Acknowledgements(self._send)

    def _send(self, reply: Reply) -> None:
        self.sent.append(reply)
        self.more.set()


def ack(number: int = 1, *, eta_ms: int = 5) -> Reply:
    name = AssignmentId(f"{number:016x}")
    return Reply(name, AssignmentAcknowledged(assignment_id=name, node_id=NODE, eta_ms=eta_ms))


def result(number: int = 1) -> Reply:
    name = AssignmentId(f"{number:016x}")
    timing = RunTiming(queue=0, infer=30)
    message = ResultSubmitted(
        assignment_id=name, node_id=NODE, output_digest=DIGEST, output_bytes=len(OUTPUT), timing=timing
    )
    return Reply(name, message, OUTPUT)


def failure(number: int = 1) -> Reply:
    name = AssignmentId(f"{number:016x}")
    return Reply(name, AssignmentFailed(assignment_id=name, node_id=NODE, code=FailureCode.WORKER_ERROR))


async def test_a_result_that_comes_soon_speaks_for_its_acknowledgement() -> None:
    wire = Wire()
    wire.acknowledgements.pass_on(ack(), SHORT_MS)
    wire.acknowledgements.pass_on(ack(2), LONG_MS)
    wire.acknowledgements.pass_on(result(), None)

    async with asyncio.timeout(PATIENCE_S):
        while len(wire.sent) < 2:  # the other's, 150 ms later: by then the first one's time has passed as well
            wire.more.clear()
            await wire.more.wait()

    assert wire.sent == [result(), ack(2)]


@pytest.mark.parametrize(("deadline_ms", "waits_ms"), [(SHORT_MS, 10), (LONG_MS, WAIT_MS_MAX)])
async def test_it_is_sent_at_once_where_the_result_would_come_too_late(deadline_ms: int, waits_ms: int) -> None:
    wire = Wire()
    wire.acknowledgements.pass_on(ack(eta_ms=waits_ms - 1), deadline_ms)
    assert wire.sent == []
    wire.acknowledgements.pass_on(ack(2, eta_ms=waits_ms), deadline_ms)
    assert wire.sent == [ack(2, eta_ms=waits_ms)]


async def test_it_is_sent_alone_where_the_result_is_not_there_in_time() -> None:
    wire = Wire()
    wire.acknowledgements.pass_on(ack(), SHORT_MS)
    async with asyncio.timeout(PATIENCE_S):
        await wire.more.wait()
    wire.acknowledgements.pass_on(result(), None)

    assert wire.sent == [ack(), result()]


async def test_nothing_but_a_result_speaks_for_it() -> None:
    wire = Wire()
    wire.acknowledgements.pass_on(ack(), LONG_MS)
    wire.acknowledgements.pass_on(failure(), None)

    assert wire.sent == [ack(), failure()]


async def test_who_declines_has_nothing_to_acknowledge() -> None:
    wire = Wire()
    name = AssignmentId("1" * 16)
    declined = Reply(name, AssignmentDeclined(assignment_id=name, node_id=NODE, reason=DeclineReason.NO_FREE_SLOT))
    wire.acknowledgements.pass_on(declined, LONG_MS)

    assert wire.sent == [declined]
