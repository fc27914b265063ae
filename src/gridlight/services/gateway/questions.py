"""What the gateway asks the coordinator for somebody, each question with its own answer or none in time."""

import asyncio
import secrets
from typing import Final, TypeVar, cast

from gridlight.adapters.clock import monotonic_ms
from gridlight.messages.codec import CoordinatorAnswer, GatewayQuestion
from gridlight.messages.funds import EarningsAsked, FundsAsked, NodeHeldBack, TellEarnings, TellFunds
from gridlight.messages.ids import AccountId, GatewayId, NodeId, WorkloadId
from gridlight.messages.operators import KeyRuled, TellRuling, Verdict
from gridlight.messages.reasons import ReasonsAsked, TellReasons, WorkloadReasons
from gridlight.messages.trust import Assurance
from gridlight.services.gateway.errors import Refusal
from gridlight.services.gateway.outbox import Outbox

ANSWER_S_MAX: Final = 2.0
RULED_S_MAX: Final = 5.0
WAITING_MAX: Final = 256
ASKED_A_SECOND_MAX: Final = 200
"""Keys cost nothing, and the coordinator has better things to do: about a fiftieth of its time goes here at most."""

A = TypeVar("A", bound=CoordinatorAnswer)


class Questions:
    """Questions that wait for their answers."""

    def __init__(
        self,
        gateway_id: GatewayId,
        outbox: Outbox,
        *,
        answer_s_max: float = ANSWER_S_MAX,
        ruled_s_max: float = RULED_S_MAX,
    ) -> None:
        self._gateway_id = gateway_id
        self._outbox = outbox
        self._answer_s_max = answer_s_max
        self._ruled_s_max = ruled_s_max
        self._waiting: dict[str, asyncio.Future[CoordinatorAnswer]] = {}
        self._ruling: dict[tuple[str, Verdict], list[asyncio.Future[TellRuling]]] = {}
        self._second = 0
        self._asked = 0
        """In this second."""

    async def reasons(self, node_id: NodeId) -> tuple[WorkloadReasons, ...]:
        """What is counted for the node. Refusal where it is unknown, or nobody answers in time."""
        asked = ReasonsAsked(gateway_id=self._gateway_id, node_id=node_id, question=_new_question())
        told = await self._answer(asked, TellReasons)
        if told.workloads is None:
            raise Refusal("UNKNOWN_NODE")
        return told.workloads

    async def funds(
        self,
        account: AccountId | None,
        workload: WorkloadId | None = None,
        assurance: Assurance = Assurance.SAMPLED,
    ) -> TellFunds:
        """What the account has, and what a task of the workload costs. Refusal where nobody answers in time."""
        asked = FundsAsked(
            gateway_id=self._gateway_id,
            question=_new_question(),
            account_id=account,
            workload=workload,
            assurance=assurance,
        )
        return await self._answer(asked, TellFunds)

    async def held_back(self, node_id: NodeId) -> NodeHeldBack:
        """What of the node's earnings did not vest. Refusal where the books do not know it, or nobody answers."""
        asked = EarningsAsked(gateway_id=self._gateway_id, node_id=node_id, question=_new_question())
        told = await self._answer(asked, TellEarnings)
        if told.node is None:
            raise Refusal("NO_EARNINGS")
        return told.node

    async def _answer(self, asked: GatewayQuestion, kind: type[A]) -> A:
        if len(self._waiting) >= WAITING_MAX or not self._may_ask(monotonic_ms() // 1_000):
            raise Refusal("BUSY", "Too many ask the coordinator at once.")
        waiter: asyncio.Future[CoordinatorAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[asked.question] = waiter
        self._outbox.add(asked)
        try:
            async with asyncio.timeout(self._answer_s_max):
                told = await waiter
        except TimeoutError:
            raise Refusal("NO_COORDINATOR") from None
        finally:
            del self._waiting[asked.question]
        assert type(told) is kind, "the coordinator answered another question"
        return cast("A", told)

    async def rule(self, key: str, verdict: Verdict, reason: str, now_ms: int) -> TellRuling:
        """Have an administrator's word on a key kept and obeyed. Refusal where nobody answers in time: it may hold."""
        if len(self._ruling) >= WAITING_MAX:
            raise Refusal("BUSY", "Too many rulings wait at once.")
        waiter: asyncio.Future[TellRuling] = asyncio.get_running_loop().create_future()
        waiting = self._ruling.setdefault((key, verdict), [])
        waiting.append(waiter)
        revoked_until = now_ms if verdict is Verdict.REVOKED else 0
        self._outbox.add(
            KeyRuled(gateway_id=self._gateway_id, key=key, verdict=verdict, reason=reason, revoked_until=revoked_until)
        )
        try:
            async with asyncio.timeout(self._ruled_s_max):
                return await waiter
        except TimeoutError:
            raise Refusal("NO_COORDINATOR") from None
        finally:
            waiting.remove(waiter)
            if not waiting:
                del self._ruling[key, verdict]

    def ruled(self, told: TellRuling) -> None:
        """The coordinator's word that a ruling is in the journal."""
        for waiter in self._ruling.get((told.key, told.verdict), ()):
            if not waiter.done():
                waiter.set_result(told)

    def answered(self, told: CoordinatorAnswer) -> None:
        """The coordinator's answer; nobody waits any more where it comes late, or twice."""
        waiter = self._waiting.get(told.question)
        if waiter is not None and not waiter.done():
            waiter.set_result(told)

    def _may_ask(self, second: int) -> bool:
        if second != self._second:
            self._second, self._asked = second, 0
        self._asked += 1
        return self._asked <= ASKED_A_SECOND_MAX


def _new_question() -> str:
    return secrets.token_hex(8)
