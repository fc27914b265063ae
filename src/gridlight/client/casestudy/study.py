"""Repeats the reference's experiment on a network on this machine, and measures it as a requester sees it.

First every photo goes to each node once, to all nodes at the same time, by an administrator's pin; then ordinary
requests go through the scheduler, if wanted with one node killed and one frozen midway.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from gridlight.adapters.clock import monotonic_ms
from gridlight.client.casestudy.claims import weigh_claims
from gridlight.client.casestudy.disturbance import Disturbance
from gridlight.client.casestudy.environment import describe_environment, load_now
from gridlight.client.casestudy.findings import (
    UNANSWERED,
    CaseStudy,
    DisturbedNode,
    Observation,
    find_node,
    find_photo,
    find_requests,
)
from gridlight.client.errors import AnswerOverdue, BadInput, GridlightError, RequestRefused, Unreachable
from gridlight.client.exchange import read_photo
from gridlight.client.network_file import NetworkFile, read_admin_token, read_network_file, read_requester_key
from gridlight.client.progress import ProgressListener
from gridlight.client.requester import AsyncGridlight
from gridlight.messages.codec import encode
from gridlight.messages.ids import NodeId

JSON_FILE: Final = "casestudy.json"

ONLINE_WAIT_S = 15.0
RETURN_WAIT_S = 30.0
POLL_S = 0.25

R = TypeVar("R")


class Plan(Struct, frozen=True, kw_only=True):
    """What to do. `network` is the path of a network file."""

    photos: tuple[Path, ...]
    network: Path
    requests: int
    concurrency: int
    kill: bool


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of it: the findings, and the single requests they were drawn from."""

    study: CaseStudy
    observations: list[Observation]
    photos: dict[str, bytes]


def run_case_study(plan: Plan, progress: ProgressListener) -> Outcome:
    """The whole of it. A frozen node is woken again, whatever happens."""
    photos = read_photos(plan.photos)
    network = read_network_file(plan.network)
    token = read_admin_token(plan.network)
    return asyncio.run(CaseStudyRun(plan, photos, network, progress).run(token))


def write_json(study: CaseStudy, folder: Path) -> Path:
    """`casestudy.json`, for programs and people."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JSON_FILE
    path.write_bytes(msgspec.json.format(encode(study), indent=2) + b"\n")
    return path


def read_photos(paths: Sequence[Path]) -> dict[str, bytes]:
    """By file name; by the whole path where two have the same name."""
    if not paths:
        raise BadInput("no photo was named", "name at least one JPEG, PNG or WebP")
    has_twins = len({path.name for path in paths}) < len(paths)
    return {str(path) if has_twins else path.name: read_photo(path) for path in paths}


class CaseStudyRun:
    """One run: its requests so far, and the clock they are timed by."""

    def __init__(self, plan: Plan, photos: dict[str, bytes], network: NetworkFile, progress: ProgressListener) -> None:
        self._plan = plan
        self._photos = photos
        self._network = network
        self._progress = progress
        self._started_ms = monotonic_ms()
        self._pinned: list[Observation] = []
        self._ordinary: list[Observation] = []

    async def run(self, token: str) -> Outcome:
        """Pinned tasks, ordinary requests, and what follows from them."""
        load_start = load_now()
        disturbance = Disturbance(self._plan.network, self._now_ms) if self._plan.kill else None
        key = read_requester_key(self._plan.network)
        # The token goes with pinned tasks only: ordinary requests are a stranger's.
        async with (
            AsyncGridlight(self._network.url, token=token) as administrator,
            AsyncGridlight(self._network.url, api_key=key, connections_max=self._plan.concurrency) as requester,
        ):
            nodes = await self._await_nodes(requester)
            await self._ask_every_node(administrator, nodes)
            try:
                await self._ask_anyone(requester, disturbance)
            finally:
                if disturbance is not None:
                    disturbance.wake()
            disturbed = [] if disturbance is None else await self._await_return(administrator, disturbance)
        return self._conclude(nodes, disturbed, load_start)

    def _now_ms(self) -> int:
        return monotonic_ms() - self._started_ms

    async def _await_nodes(self, requester: AsyncGridlight) -> list[NodeId]:
        """The network file's agents, and whoever else is online; waits a while for the former."""
        expected = list(self._network.agents())
        ends_ms = monotonic_ms() + int(ONLINE_WAIT_S * 1000)
        while True:
            # A node is online before its worker is ready; it can be given a task when it lends a slot.
            online = [node.node_id for node in (await requester.nodes()).nodes if node.online and node.slots]
            present = len(set(expected) & set(online))
            self._progress("waiting for the nodes", present, len(expected))
            if online and (present == len(expected) or monotonic_ms() > ends_ms):
                return list(dict.fromkeys(expected + online))
            if monotonic_ms() > ends_ms:
                raise BadInput("no node is online", "start some: `gridlight node start --network URL --data DIR`")
            await asyncio.sleep(POLL_S)

    async def _ask_every_node(self, administrator: AsyncGridlight, nodes: Sequence[NodeId]) -> None:
        total = len(self._photos) * len(nodes)
        stage = "every photo to every node"
        self._progress(stage, 0, total)

        async def ask(file: str, node_id: NodeId) -> None:
            self._pinned.append(await self._observe(administrator, file, node_id))
            self._progress(stage, len(self._pinned), total)

        for file in self._photos:
            await in_parallel(ask(file, node_id) for node_id in nodes)

    async def _ask_anyone(self, requester: AsyncGridlight, disturbance: Disturbance | None) -> None:
        files = list(self._photos)
        numbers = iter(range(self._plan.requests))
        total = self._plan.requests
        stage = "ordinary requests"
        self._progress(stage, 0, total)

        async def ask_on() -> None:
            for number in numbers:
                if disturbance is not None and number == total // 2:
                    disturbance.strike()
                self._ordinary.append(await self._observe(requester, files[number % len(files)], None))
                self._progress(stage, len(self._ordinary), total)

        await in_parallel(ask_on() for _ in range(self._plan.concurrency))

    async def _observe(self, requester: AsyncGridlight, file: str, node_id: NodeId | None) -> Observation:
        started_ms = self._now_ms()
        response, code = None, None
        try:
            response = await requester.detect(self._photos[file], node=node_id)
        except RequestRefused as refusal:
            code = refusal.code
        except (Unreachable, AnswerOverdue):
            code = UNANSWERED
        return Observation(
            file=file,
            pinned_node=node_id,
            started_ms=started_ms,
            latency_ms=self._now_ms() - started_ms,
            response=response,
            code=code,
        )

    async def _await_return(self, administrator: AsyncGridlight, disturbance: Disturbance) -> list[DisturbedNode]:
        """When each of the two serves again: the killed one restarted by its supervisor, the frozen one woken."""
        if disturbance.struck_ms is None or disturbance.woken_ms is None:
            return []
        self._progress("waiting for the killed and the frozen node to serve again", 0, 2)
        killed, frozen = await in_parallel(
            self._await_answer(administrator, node_id) for node_id in (disturbance.killed, disturbance.frozen)
        )
        self._progress("waiting for the killed and the frozen node to serve again", 2, 2)
        struck_ms, woken_ms = disturbance.struck_ms, disturbance.woken_ms
        return [
            DisturbedNode(
                node_id=disturbance.killed,
                action="killed",
                at_ms=struck_ms,
                serving_again_ms=None if killed is None else killed - struck_ms,
            ),
            DisturbedNode(
                node_id=disturbance.frozen,
                action="frozen",
                at_ms=struck_ms,
                serving_again_ms=None if frozen is None else frozen - woken_ms,
            ),
        ]

    async def _await_answer(self, administrator: AsyncGridlight, node_id: NodeId) -> int | None:
        """The time of the node's next answer to a pinned task; these tasks are in none of the figures."""
        ends_ms = self._now_ms() + int(RETURN_WAIT_S * 1000)
        while self._now_ms() < ends_ms:
            observation = await self._observe(administrator, next(iter(self._photos)), node_id)
            if observation.response is not None:
                return self._now_ms()
            await asyncio.sleep(POLL_S)
        return None

    def _conclude(self, nodes: Sequence[NodeId], disturbed: list[DisturbedNode], load_start: float) -> Outcome:
        observations = self._pinned + self._ordinary
        found_nodes = [find_node(node_id, observations) for node_id in nodes]
        found_requests = find_requests(self._ordinary)
        found_photos = [find_photo(file, self._pinned) for file in self._photos]
        models = [one.response.model for one in observations if one.response is not None]
        study = CaseStudy(
            nodes=found_nodes,
            requests=found_requests,
            photos=found_photos,
            claims=weigh_claims(found_nodes, found_requests, found_photos, is_disturbed=self._plan.kill),
            disturbed=disturbed,
            environment=describe_environment(load_start=load_start),
            model=models[0] if models else None,
            concurrency=self._plan.concurrency,
        )
        return Outcome(study=study, observations=observations, photos=self._photos)


async def in_parallel(jobs: Iterable[Coroutine[None, None, R]]) -> list[R]:
    """All of them at once; the first error that a requester can act on is raised as itself, not as one of a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except ExceptionGroup as errors:
        known, unknown = errors.split(GridlightError)
        if known is None or unknown is not None:
            raise
        raise known.exceptions[0] from errors
    return [task.result() for task in tasks]
