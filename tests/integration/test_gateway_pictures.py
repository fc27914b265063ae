"""The gateway's picture processes, real ones: they crash, hang and queue, and the pool goes on."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from PIL import Image
from tests.integration.conftest import WAIT_S

from gridlight.adapters.sandbox.port import WorkerCrashed
from gridlight.adapters.sandbox.worker_process import WorkerProcess
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.metrics import Metrics
from gridlight.services.gateway.pictures import (
    WAITING_PER_PROCESS_MAX,
    PicturePool,
    Prepared,
    start_picture_process,
)

SIZE = {"width": 300, "height": 300}


class Stable:
    """A pool that runs, and the processes it started, oldest first."""

    def __init__(self, prepare_s_max: float, failures: int) -> None:
        self.metrics = Metrics("test")
        self.started: list[WorkerProcess] = []
        self.starts_frozen = False
        self._failures = failures
        self.pool = PicturePool(1, self.metrics, start=self._start, prepare_s_max=prepare_s_max)

    async def _start(self) -> WorkerProcess:
        if self._failures:
            self._failures -= 1
            raise WorkerCrashed("it never said that it is ready")
        process = await start_picture_process()
        if self.starts_frozen:
            os.kill(process.pid, signal.SIGSTOP)
        self.started.append(process)
        return process

    async def prepare(self) -> Prepared:
        return await self.pool.prepare("resize_rgb_uint8", SIZE, PICTURE)

    async def process(self) -> WorkerProcess:
        await until(lambda: self.pool.is_ready)
        return self.started[-1]

    def restarts(self) -> float | None:
        return self.metrics.registry.get_sample_value("gridlight_picture_process_restarts_total")


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "JPEG")
    return file.getvalue()


PICTURE = jpeg()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not is_true():  # noqa: ASYNC110  (the other side is another process)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*, prepare_s_max: float = WAIT_S, failures: int = 0) -> AsyncIterator[Stable]:
    stable = Stable(prepare_s_max, failures)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(stable.pool.run())
        try:
            yield stable
        finally:
            keeping.cancel()


async def test_a_picture_is_prepared_even_before_the_process_is_ready() -> None:
    async with running() as stable:
        prepared = await stable.prepare()

    assert len(prepared.tensor) == 300 * 300 * 3
    assert (prepared.picture.width, prepared.picture.height) == (64, 48)
    assert not stable.started[0].is_alive


async def kill_over_a_picture(stable: Stable) -> None:
    """End the frozen process as soon as it has a picture to prepare."""
    process = await stable.process()
    await until(lambda: stable.pool.busy_total > 0)
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: not process.is_alive)


async def test_a_picture_whose_process_was_killed_is_prepared_by_the_next_one() -> None:
    async with running() as stable:
        process = await stable.process()
        os.kill(process.pid, signal.SIGSTOP)
        pictures = [asyncio.ensure_future(stable.prepare()) for _ in range(2)]
        await kill_over_a_picture(stable)

        assert all([(await picture).tensor for picture in pictures])
        assert stable.restarts() == 1


async def test_a_picture_that_costs_two_processes_is_refused() -> None:
    async with running() as stable:
        process = await stable.process()
        os.kill(process.pid, signal.SIGSTOP)
        stable.starts_frozen = True
        deadly = asyncio.ensure_future(stable.prepare())
        await kill_over_a_picture(stable)
        await until(lambda: len(stable.started) == 2)
        stable.starts_frozen = False
        await kill_over_a_picture(stable)

        with pytest.raises(Refusal) as caught:
            await deadly
        assert caught.value.code == "PICTURE_BROKEN"
        assert (await stable.prepare()).tensor


async def test_requesters_who_leave_while_their_pictures_are_prepared_cost_no_process() -> None:
    async with running() as stable:
        process = await stable.process()
        for _ in range(10):
            os.kill(process.pid, signal.SIGSTOP)
            leaving = asyncio.ensure_future(stable.prepare())
            await until(lambda: stable.pool.busy_total > 0)
            leaving.cancel()
            os.kill(process.pid, signal.SIGCONT)

        assert (await stable.prepare()).tensor
        assert len(stable.started) == 1


async def test_a_picture_that_takes_too_long_ends_its_process() -> None:
    async with running(prepare_s_max=0.2) as stable:
        process = await stable.process()
        os.kill(process.pid, signal.SIGSTOP)

        with pytest.raises(Refusal) as caught:
            await stable.prepare()

        assert caught.value.code == "PICTURE_BROKEN"
        assert not process.is_alive
        assert (await stable.prepare()).tensor


async def test_an_idle_process_that_dies_is_replaced_unasked() -> None:
    async with running() as stable:
        process = await stable.process()
        os.kill(process.pid, signal.SIGKILL)

        await until(lambda: len(stable.started) == 2)

        assert (await stable.prepare()).tensor


async def test_pictures_wait_in_a_bounded_queue() -> None:
    async with running() as stable:
        process = await stable.process()
        os.kill(process.pid, signal.SIGSTOP)
        waiting = [asyncio.ensure_future(stable.prepare()) for _ in range(1 + WAITING_PER_PROCESS_MAX)]
        await asyncio.sleep(0)

        with pytest.raises(Refusal) as caught:
            await stable.prepare()
        assert caught.value.code == "BUSY"

        os.kill(process.pid, signal.SIGCONT)
        assert len(await asyncio.gather(*waiting)) == 1 + WAITING_PER_PROCESS_MAX


async def test_a_requester_who_leaves_the_queue_takes_no_process_with_him() -> None:
    async with running() as stable:
        process = await stable.process()
        os.kill(process.pid, signal.SIGSTOP)
        first, second, third = (asyncio.ensure_future(stable.prepare()) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        await asyncio.sleep(0)

        os.kill(process.pid, signal.SIGCONT)

        assert (await third).tensor
        assert (await stable.prepare()).tensor


async def test_a_process_that_does_not_start_is_tried_again() -> None:
    async with running(failures=2) as stable:
        assert (await stable.prepare()).tensor
