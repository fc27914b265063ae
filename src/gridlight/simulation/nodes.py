"""The nodes at work: what reaches them, what their workers do, and what they say, as their plans have it."""

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from gridlight.messages.codec import Event, NodeReply
from gridlight.messages.ids import GatewayId
from gridlight.messages.results import ResultSubmitted
from gridlight.messages.tasks import (
    Assignment,
    AssignmentDeclined,
    AssignmentUndeliverable,
    FailureCode,
    UndeliverableReason,
)
from gridlight.simulation.adversary import Answers
from gridlight.simulation.answers import number_of_input
from gridlight.simulation.behaviour import Behaviour, Plan, Vanishing
from gridlight.simulation.entries import Asked, Cancelled, Delivered, Offered, Ran, Said, Vanished
from gridlight.simulation.labour import Labour
from gridlight.simulation.minds import Minds, with_elapsed
from gridlight.simulation.network import Network
from gridlight.simulation.population import HERE, SILENT, Population
from gridlight.simulation.timeline import Timeline


class Waiting(Struct, frozen=True, gc=False):
    """An assignment that a node took while all its workers were busy."""

    taken_ms: int
    deadline_ms: int
    gateway_id: GatewayId
    assignment: Assignment
    plan: Plan


class Desk(Struct):
    """What a node that is at work has on its workers and waiting for them."""

    busy: int
    waiting: deque[Waiting]


class Nodes:
    """All nodes of a run, by number."""

    def __init__(
        self,
        *,
        population: Population,
        minds: Minds,
        behaviour: Behaviour,
        answers: Answers,
        network: Network,
        timeline: Timeline,
        tell: Callable[[Event], None],
        vanish: Callable[[int, bool], None],
    ) -> None:
        self.is_faulty = True
        """Until faults stop."""
        self.labour = Labour(population.count)
        self.frozen_until_ms: dict[int, int] = {}
        self._desks: dict[int, Desk] = {}
        self._life = population.life
        self._population = population
        self._minds = minds
        self._behaviour = behaviour
        self._answers = answers
        self._network = network
        self._timeline = timeline
        self._tell = tell
        self._vanish = vanish

    def forget(self, node: int) -> None:
        """Its process is gone."""
        self._minds.end(node)
        self._desks.pop(node, None)
        self.frozen_until_ms.pop(node, None)

    def delivered(self, entry: Delivered) -> None:
        """An assignment comes: acknowledge or decline, and give it to a worker."""
        node, assignment, population = entry.node, entry.assignment, self._population
        if population.presence[node] != HERE or population.ids[node] != entry.node_id:
            self._not_delivered(entry)
            return
        if self._is_frozen(node, entry):
            return
        assignment_id = assignment.assignment_id
        plan = self._behaviour.plan(
            assignment_id, population.service_ms[node], population.kind[node], is_faulty=self.is_faulty
        )
        if plan.vanishing and not plan.vanish_ms:
            self._vanish(node, plan.vanishing is Vanishing.SILENT)
            return
        reply = self._minds.assigned(node, assignment)
        if reply is None:
            return
        if isinstance(reply, AssignmentDeclined):
            self._say(node, entry.gateway_id, reply, 1, plan.links[2])
            return
        now_ms = self._timeline.now_ms
        self._say(
            node,
            entry.gateway_id,
            with_elapsed(reply, now_ms + plan.ack_ms - entry.sent_ms),
            plan.ack_ms,
            plan.links[0],
        )
        if plan.vanishing:
            vanished = Vanished(node, self._life[node], plan.vanishing is Vanishing.SILENT)
            self._timeline.put(now_ms + plan.vanish_ms, vanished)
        if plan.freeze_ms:
            self.frozen_until_ms[node] = now_ms + plan.freeze_ms
        self._answers.sent(node, number_of_input(assignment.input_digest))
        waiting = Waiting(now_ms, assignment.deadline_ms, entry.gateway_id, assignment, plan)
        self._give_to_worker(node, waiting)

    def ran(self, entry: Ran) -> None:
        """A worker is through: say so, and give it what waits."""
        node, plan = entry.node, entry.plan
        if entry.life != self._life[node] or self._population.presence[node] != HERE:
            return
        if self._is_frozen(node, entry):
            return
        if plan.is_failing:
            self.labour.failed(node, plan.infer_ms, number_of_input(entry.assignment.input_digest))
            reply = self._minds.failed(node, entry.assignment.assignment_id, FailureCode.WORKER_CRASHED)
        else:
            reply = self._finish(entry)
        self._say(node, entry.gateway_id, reply, 0, plan.links[1])
        desk = self._desks[node]
        desk.busy -= 1
        while desk.waiting and desk.busy < self._population.slots[node]:
            self._begin_waiting(node, desk, desk.waiting.popleft())
        if not desk.busy:
            del self._desks[node]

    def said(self, entry: Said) -> None:
        """A reply arrives where its connection still stands and its gateway is connected."""
        is_heard = self._is_connected(entry.node, entry.session) and self._network.reaches(entry.gateway_id)
        if is_heard and not self._is_frozen(entry.node, entry):
            self._tell(entry.reply)

    def offered(self, entry: Offered) -> None:
        """An offer arrives; it says what stands now."""
        if self._is_connected(entry.node, entry.session) and not self._is_frozen(entry.node, entry):
            self._tell(self._minds.offer(entry.node))

    def asked(self, entry: Asked) -> None:
        """A node offers again, where it hears that."""
        if self._population.presence[entry.node] == HERE and not self._is_frozen(entry.node, entry):
            self.say_offer(entry.node, 1)

    def cancelled(self, entry: Cancelled) -> None:
        """A node learns that its work is for nothing."""
        if self._population.presence[entry.node] == HERE:
            self._minds.cancel(entry.node, entry.assignment_id)

    def say_offer(self, node: int, after_ms: int) -> None:
        """Its offer is on its way."""
        self._timeline.put(self._timeline.now_ms + after_ms, Offered(node, self._population.session[node]))

    def _finish(self, entry: Ran) -> NodeReply:
        """The node counts its runs: nobody tells it how long its clean run is."""
        node, assignment, plan = entry.node, entry.assignment, entry.plan
        number = number_of_input(assignment.input_digest)
        answer = self._answers.answer(node, number, assignment.probe_seed, plan.answer_bits)
        self.labour.answered(node, plan.infer_ms, number, answer)
        run_ms = self._timeline.now_ms - entry.taken_ms
        reply = self._minds.finished(node, assignment.assignment_id, answer, infer_ms=plan.infer_ms, run_ms=run_ms)
        self._population.age[node] += isinstance(reply, ResultSubmitted)
        return reply

    def _begin_waiting(self, node: int, desk: Desk, waiting: Waiting) -> None:
        if not self._minds.is_wanted(node, waiting.assignment.assignment_id):
            code = FailureCode.CANCELLED
        elif self._timeline.now_ms >= waiting.taken_ms + waiting.deadline_ms:
            code = FailureCode.WORKER_TIMEOUT
        else:
            self._run(node, desk, waiting)
            return
        reply = self._minds.failed(node, waiting.assignment.assignment_id, code)
        self._say(node, waiting.gateway_id, reply, 0, waiting.plan.links[1])

    def _give_to_worker(self, node: int, waiting: Waiting) -> None:
        desk = self._desks.get(node)
        if desk is None:
            desk = self._desks[node] = Desk(0, deque())
        if desk.busy < self._population.slots[node]:
            self._run(node, desk, waiting)
        else:
            desk.waiting.append(waiting)

    def _run(self, node: int, desk: Desk, waiting: Waiting) -> None:
        desk.busy += 1
        plan = waiting.plan
        begun_ms = max(self._timeline.now_ms, waiting.taken_ms + plan.ack_ms)
        ran = Ran(node, self._life[node], waiting.taken_ms, waiting.gateway_id, waiting.assignment, plan)
        self._timeline.put(begun_ms + plan.run_ms, ran)

    def _say(self, node: int, gateway_id: GatewayId, reply: NodeReply, after_ms: int, bits: int) -> None:
        said = Said(node, self._population.session[node], gateway_id, reply)
        for delay_ms in self._network.delays_ms(bits):
            self._timeline.put(self._timeline.now_ms + after_ms + delay_ms, said)

    def _not_delivered(self, entry: Delivered) -> None:
        """The bus says at once that nobody listens, unless it believes that somebody does."""
        if self._population.presence[entry.node] == SILENT or not self._network.reaches(entry.gateway_id):
            return
        undeliverable = AssignmentUndeliverable(
            assignment_id=entry.assignment.assignment_id,
            node_id=entry.node_id,
            reason=UndeliverableReason.NO_RESPONDERS,
        )
        self._timeline.put(self._timeline.now_ms + 1, undeliverable)

    def _is_connected(self, node: int, session: int) -> bool:
        return self._population.presence[node] == HERE and self._population.session[node] == session

    def _is_frozen(self, node: int, entry: object) -> bool:
        """A frozen node hears and says all of it later."""
        until_ms = self.frozen_until_ms.get(node)
        if until_ms is None:
            return False
        if until_ms <= self._timeline.now_ms:
            del self.frozen_until_ms[node]
            return False
        self._timeline.put(until_ms, entry)
        return True
