"""A hostile node: the real agent with keys, enrolment, bus and signatures of its own, that lies in what it reports.

    python -m tests.acceptance.hostile.agent --behaviour NAME --network URL --data DIR [--endorsement FILE]
        [--honest COUNT] [--once-trusted] [--on-signal] [--slots COUNT] [--model FILE]

Whatever it is given and says goes to DATA/said.jsonl, so that a test can tell what it lied about.
"""

import asyncio
import os
import signal
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Final

import httpx
import msgspec
import uvloop
from msgspec import Struct
from tests.acceptance.hostile.lies import LIES, Behaviour, Said, degraded, taken_for_a_check
from tests.acceptance.hostile.other_model import OtherModel

from gridlight.adapters.bus import BusError
from gridlight.adapters.logs import write_json_logs
from gridlight.adapters.signatures import blake3_digest
from gridlight.core.agent import AgentEvent, PublishOffer, Reply, RunFailed, RunFinished, WorkerReady
from gridlight.core.preferences import ALWAYS
from gridlight.messages.api import NodeResponse, NodeView
from gridlight.messages.codec import encode
from gridlight.messages.envelope import REPLY_DOMAIN
from gridlight.messages.ids import AssignmentId
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import Assignment, FailureCode
from gridlight.messages.trust import Tier
from gridlight.services.agent.main import AgentService
from gridlight.services.agent.options import AgentOptions
from gridlight.workloads.contract import catalogue

SAID_FILE: Final = "said.jsonl"
PRETENDED_MS: Final = 40
"""Who runs nothing answers after as long as an honest node needs."""

_SPY_S: Final = 0.1
_GUESS_AFTER: Final = 9


class Plan(Struct, frozen=True, kw_only=True):
    """What the node does, and from when to when."""

    behaviour: Behaviour
    honest: int = 0
    """So many answers first."""
    once_trusted: bool = False
    """Not before the network says that the node is trusted; it can read that as anybody can."""
    on_signal: bool = False
    """Not before SIGUSR1: it sleeps until those in the plot are told."""
    slots: int = 1
    model: Path | None = None


class Task(Struct, frozen=True, kw_only=True):
    """One line of said.jsonl: a task as the node saw it, and whether it lied about it."""

    at_s: float
    assignment_id: AssignmentId
    deadline_ms: int
    input_digest: str
    is_lie: bool


class HostileAgent(AgentService):
    """The real agent, but for what it reports."""

    def __init__(self, network_url: str, data: Path, plan: Plan, endorsement_file: Path | None) -> None:
        options = AgentOptions(
            network_url=network_url,
            data=data,
            slots=plan.slots,
            endorsement_file=endorsement_file,
            engine="subprocess",
            defaults=ALWAYS,
        )
        super().__init__(options)
        self._plan = plan
        self._view_url = f"{network_url}/v1/nodes/{self._node_id}"
        self._view: NodeView | None = None
        self._is_told = asyncio.Event()
        self._said = (data / SAID_FILE).open("wb", buffering=0)
        self._seen_ms: list[int] = []
        """What was left until the deadline of each task so far."""
        self._lied_about: dict[AssignmentId, Assignment] = {}
        self._first: Said | None = None
        self._old_word: tuple[bytes, bytes, bytes] | None = None
        self._model = None if plan.model is None else OtherModel(plan.model)

    async def _work(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._is_told.set)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._spy())
            tasks.create_task(self._lend_nothing() if self._plan.behaviour.runs_nothing else super()._work())

    async def _lend_nothing(self) -> None:
        """Offer a slot behind which there is no worker."""
        await self._link.enrol()
        for _ in range(self._plan.slots):
            self._tell(WorkerReady(next(iter(catalogue())), PRETENDED_MS))
        await self._link.keep()

    async def _spy(self) -> None:
        """Read what the network says of this node, as anybody can."""
        async with httpx.AsyncClient(trust_env=False) as http:
            while self._plan.once_trusted:
                read = await http.get(self._view_url)
                if read.is_success:
                    self._view = msgspec.json.decode(read.content, type=NodeResponse).node
                await asyncio.sleep(_SPY_S)

    def _start(self, assignment: Assignment) -> None:
        self._seen_ms.append(assignment.deadline_ms)
        is_lie = self._is_time_to_lie() and self._is_worth_a_lie(assignment)
        self._note(assignment, is_lie=is_lie)
        if not is_lie:
            super()._start(assignment)
            return
        self._lied_about[assignment.assignment_id] = assignment
        body = self._bodies[assignment.assignment_id]
        match self._plan.behaviour:
            case Behaviour.SILENT:
                self._tell(RunFailed(assignment.assignment_id, FailureCode.CANCELLED))  # which is never sent
            case Behaviour.VANISHING:
                pass  # it goes when its acknowledgement is sent
            case Behaviour.CHEAPER:
                self._runs.create_task(self._lent.running[assignment.workload].run(assignment, degraded(body)))
            case behaviour if behaviour.runs_nothing or (behaviour is Behaviour.REPLAYED and self._first is not None):
                self._runs.create_task(self._pretend(assignment, body))
            case _:
                super()._start(assignment)

    def _is_time_to_lie(self) -> bool:
        plan, view = self._plan, self._view
        if plan.once_trusted and (view is None or view.tier is not Tier.TRUSTED):
            return False
        if plan.on_signal and not self._is_told.is_set():
            return False
        return len(self._seen_ms) > plan.honest

    def _is_worth_a_lie(self, assignment: Assignment) -> bool:
        if self._plan.behaviour is not Behaviour.GUESSING:
            return True
        return len(self._seen_ms) >= _GUESS_AFTER and not taken_for_a_check(assignment.deadline_ms, self._seen_ms)

    def _note(self, assignment: Assignment, *, is_lie: bool) -> None:
        task = Task(
            at_s=time.monotonic(),
            assignment_id=assignment.assignment_id,
            deadline_ms=assignment.deadline_ms,
            input_digest=assignment.input_digest,
            is_lie=is_lie,
        )
        self._said.write(msgspec.json.encode(task) + b"\n")

    async def _pretend(self, assignment: Assignment, body: bytes) -> None:
        """Take as long as a run would, and report something."""
        await asyncio.sleep(PRETENDED_MS / 1_000)
        said = self._first or Said(b"", ())
        if self._model is not None:
            said = self._model.run(body, assignment.probe_seed)
        self._tell(
            RunFinished(
                assignment_id=assignment.assignment_id,
                output=said.output,
                output_digest=blake3_digest(said.output),
                probes=said.probes,
                infer_ms=PRETENDED_MS,
                run_ms=PRETENDED_MS,
            )
        )

    async def _vanish(self, assignment_id: AssignmentId) -> None:
        """Be gone right after the acknowledgement, and come back as a new session."""
        await self._link.close()
        await self._link._closed()
        self._tell(RunFailed(assignment_id, FailureCode.CANCELLED))

    def _tell(self, event: AgentEvent) -> None:
        super()._tell(self._forged(event) if isinstance(event, RunFinished) else event)

    def _forged(self, event: RunFinished) -> RunFinished:
        """What a worker's output becomes before it is signed and sent as this node's result."""
        honest = Said(event.output, event.probes)
        if self._first is None:
            self._first = honest
        assignment = self._lied_about.pop(event.assignment_id, None)
        if assignment is None:
            return event
        if self._plan.behaviour is Behaviour.OTHERS_DIGEST:
            return msgspec.structs.replace(event, output_digest=blake3_digest(event.output + event.output))
        lie = LIES.get(self._plan.behaviour)
        said = honest if lie is None else lie(assignment.input_digest, honest)
        digest = blake3_digest(said.output)
        return msgspec.structs.replace(event, output=said.output, output_digest=digest, probes=said.probes)

    async def _send(self, effect: Reply | PublishOffer) -> None:
        if isinstance(effect, PublishOffer) or not effect.is_last:
            await super()._send(effect)
            if isinstance(effect, Reply) and self._plan.behaviour is Behaviour.VANISHING:
                self._runs.create_task(self._vanish(effect.assignment_id))
        elif self._plan.behaviour is Behaviour.SILENT:
            del self._replies[effect.assignment_id], self._bodies[effect.assignment_id]
        elif self._plan.behaviour is Behaviour.OLD_WORD and isinstance(effect.message, ResultSubmitted):
            await self._send_old_word(effect)
        else:
            await super()._send(effect)

    async def _send_old_word(self, effect: Reply) -> None:
        """The first result's message, signature and body in answer to every later assignment."""
        if self._old_word is None:
            message = encode(effect.message)
            self._old_word = message, self._node.sign(REPLY_DOMAIN, message), effect.body
        message, signature, body = self._old_word
        subject = self._replies.pop(effect.assignment_id)
        del self._bodies[effect.assignment_id]
        if self._link.bus is None:
            raise BusError("the connection broke before the answer was ready")
        await self._link.bus.publish(subject, body, message=message, signature=signature)


def main() -> None:
    """Run until a signal, or until the network takes this node no more."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--behaviour", required=True, type=Behaviour, choices=list(Behaviour))
    parser.add_argument("--network", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--endorsement", type=Path)
    parser.add_argument("--honest", type=int, default=0)
    parser.add_argument("--once-trusted", action="store_true")
    parser.add_argument("--on-signal", action="store_true")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    plan = Plan(
        behaviour=options.behaviour,
        honest=options.honest,
        once_trusted=options.once_trusted,
        on_signal=options.on_signal,
        slots=options.slots,
        model=options.model,
    )
    write_json_logs(None, service=f"hostile {plan.behaviour.value}")
    uvloop.run(HostileAgent(options.network, options.data, plan, options.endorsement).run())


if __name__ == "__main__":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    main()
