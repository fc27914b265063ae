"""The gateway's end of the control protocol: events out, effects in, nodes' replies in between."""

import asyncio
from typing import Final, assert_never

import structlog

from gridlight.adapters.bus import Bus, BusError, Delivery
from gridlight.adapters.clock import monotonic_ms
from gridlight.messages import subjects
from gridlight.messages.codec import CoordinatorWord, ProtocolViolation, coordinator_words, encode
from gridlight.messages.funds import TellEarnings, TellFunds
from gridlight.messages.host import AnnounceCoordinator
from gridlight.messages.ids import GatewayId
from gridlight.messages.jobs import CancelAssignment, EndJob, SendAssignment
from gridlight.messages.nodes import AdmitNode
from gridlight.messages.operators import RefuseNode, TellRuling
from gridlight.messages.reasons import TellReasons
from gridlight.messages.trust import KeepInput, ReleaseInput
from gridlight.messages.workloads import AnnounceWorkloads
from gridlight.services.gateway.dispatch import Dispatch, Publication
from gridlight.services.gateway.enrolment import Enrolments
from gridlight.services.gateway.inputs import KeptInputs
from gridlight.services.gateway.jobs import OpenJobs
from gridlight.services.gateway.offered import Offered
from gridlight.services.gateway.outbox import Outbox
from gridlight.services.gateway.questions import Questions
from gridlight.services.gateway.replies import SignedReply
from gridlight.services.gateway.terms import TrustTerms

_PROBE: Final = "probe"
_NO_EVENTS: Final = encode([])
_PROBE_S_MAX: Final = 1.0

_log = structlog.get_logger()


class Control:
    """Carries messages between the bus and the gateway's parts; decides nothing."""

    def __init__(
        self,
        shard: str,
        gateway_id: GatewayId,
        *,
        jobs: OpenJobs,
        inputs: KeptInputs,
        outbox: Outbox,
        dispatch: Dispatch,
        enrolments: Enrolments,
        questions: Questions,
        terms: TrustTerms,
        offered: Offered,
    ) -> None:
        self._shard = shard
        self._gateway_id = gateway_id
        self._jobs = jobs
        self._inputs = inputs
        self._outbox = outbox
        self._dispatch = dispatch
        self._enrolments = enrolments
        self._questions = questions
        self._terms = terms
        self._offered = offered
        self._bus: Bus | None = None
        self._is_coordinator_there = False

    @property
    def is_connected(self) -> bool:
        """Whether the bus is there."""
        return self._bus is not None and self._bus.is_connected

    async def attach(self, bus: Bus) -> None:
        """Listen to the coordinator and to replies. Called once, with the process's one connection."""
        assert self._bus is None
        self._bus = bus
        await bus.subscribe(subjects.control_effects(self._shard, self._gateway_id), self._on_effects)
        await bus.subscribe(subjects.control_announcements(self._shard), self._on_effects)
        await bus.listen(subjects.inboxes(self._gateway_id), self._on_reply)
        await bus.flush()

    async def send_events(self) -> None:
        """Publish what the outbox holds, turn by turn, until cancelled."""
        assert self._bus is not None
        subject = subjects.control_events(self._shard)
        while True:
            await self._outbox.wait()
            try:
                await self._bus.publish(subject, encode(self._outbox.take()))
            except BusError as error:
                # Lost on purpose: after the reconnect everything that still holds is announced again.
                _log.warning("events_not_sent", error=str(error))
                self._outbox.clear()

    async def on_reconnected(self) -> None:
        """The bus was away, and perhaps the coordinator restarted meanwhile."""
        self.announce()

    def announce(self) -> None:
        """Tell the coordinator again of everything open: it, or the bus between us, was away."""
        self._terms.forget()
        self._offered.forget()
        for submitted in self._jobs.announcements(monotonic_ms()):
            self._outbox.add(submitted)
        for enrolled in self._enrolments.announcements():
            self._outbox.add(enrolled)

    async def is_coordinator_there(self) -> bool:
        """Whether a coordinator listens: the bus says at once where nobody does."""
        if not self.is_connected:
            return False
        assert self._bus is not None
        self._is_coordinator_there = True
        inbox = f"_INBOX.{self._gateway_id}.{_PROBE}"
        try:
            await self._bus.publish(subjects.control_events(self._shard), _NO_EVENTS, reply=inbox)
            # The server's "no responders" comes before its answer to the flush; one more turn hands it to us.
            await self._bus.flush(_PROBE_S_MAX)
            await asyncio.sleep(0)
        except BusError:
            return False
        return self._is_coordinator_there

    async def _on_effects(self, delivery: Delivery) -> None:
        try:
            effects = coordinator_words.decode(delivery.body)
        except ProtocolViolation as violation:
            _log.error("effects_unreadable", error=str(violation))
            return
        for effect in effects:
            await self._publish(self._perform(effect))

    def _perform(self, effect: CoordinatorWord) -> Publication | None:
        match effect:
            case SendAssignment():
                return self._dispatch.send(monotonic_ms(), effect)
            case CancelAssignment():
                return self._dispatch.cancel(effect)
            case EndJob():
                self._jobs.end(effect.job_id, effect.outcome)
            case AdmitNode():
                self._enrolments.admitted(effect.node_id)
            case RefuseNode():
                self._enrolments.refused(effect)
            case TellRuling():
                self._questions.ruled(effect)
            case TellReasons() | TellFunds() | TellEarnings():
                self._questions.answered(effect)
            case AnnounceCoordinator():
                self.announce()
            case AnnounceWorkloads():
                self._offered.forget()
            case KeepInput():
                self._keep(effect)
            case ReleaseInput():
                self._inputs.release(effect.job_id)
            case _:
                assert_never(effect)
        return None

    def _keep(self, effect: KeepInput) -> None:
        given = self._jobs.input(effect.job_id)
        self._inputs.keep(monotonic_ms(), effect.job_id, given, keep_ms=effect.keep_ms, is_canary=effect.is_canary)

    async def _publish(self, publication: Publication | None) -> None:
        if publication is None:
            return
        assert self._bus is not None
        try:
            await self._bus.publish(
                publication.subject, publication.body, reply=publication.reply, message=publication.message
            )
        except BusError as error:
            _log.warning("assignment_not_sent", subject=publication.subject, error=str(error))

    def _on_reply(self, delivery: Delivery) -> None:
        if not delivery.no_responders:
            received = SignedReply(delivery.message, delivery.signature, delivery.body)
            self._dispatch.receive(monotonic_ms(), delivery.subject, received)
        elif delivery.subject.endswith(_PROBE):
            self._is_coordinator_there = False
        else:
            self._dispatch.no_responders(delivery.subject)
