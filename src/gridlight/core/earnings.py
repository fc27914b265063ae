"""What operators earned: held back at first, then theirs, unless a node of theirs is found false meanwhile.

A node's earnings are kept by day, not by task: a day vests once its newest task is old enough, enough later tasks were
paid, the node is trusted, and nothing of it is disputed. So a liar loses all that its node earned in the time that a
lie can stay hidden, and the memory is a few numbers a node.
"""

from heapq import heappop, heappush

from msgspec import Struct
from msgspec.structs import replace

from gridlight.core import postings
from gridlight.core.ledger import Ledger
from gridlight.core.postings import Draft
from gridlight.messages.funds import HeldBack, NodeHeldBack
from gridlight.messages.ids import AssignmentId, JobId, NodeId, WorkloadId
from gridlight.messages.ledger import (
    NET_VERIFY,
    Entry,
    MoneyParameters,
    op_pending,
    op_stake,
)
from gridlight.messages.receipts import ReceiptStatus

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
DAYS_HELD = 14
"""A hold that is shorter than so many days is kept in as many parts, so that it is no longer than it says."""

DAYS_MAX = 64
"""Of one node, not vested; what it earns beyond is counted with the newest, which delays it and loses nothing."""

CLAIMS_MAX = 100_000
"""Checks that wait for the pool to be filled; a further one goes unpaid, and the caller is told."""

PAID_AT_ONCE_MAX = 1_000
LOOKED_AT_MAX = 1_000
"""Nodes in one call of `vest`."""


class Day(Struct, gc=False):
    """What a node earned in about a day, and for whom."""

    operator: str
    first_ms: int
    last_ms: int
    last_task: int
    """How many of the node's tasks were paid when its newest one was."""
    amount: int


class Account(Struct):
    """What is known of one node's earnings."""

    operator: str
    tasks: int = 0
    days: list[Day] = []
    is_trusted: bool = False
    disputes: int = 0
    is_listed: bool = False
    is_unpaid: bool = False
    """It is held in shadow, and earns nothing meanwhile."""


class Claim(Struct, frozen=True, gc=False, order=True):
    """A check that earned something, to be paid from the pool."""

    task: JobId
    node: NodeId
    attempt: AssignmentId
    amount: int
    workload: WorkloadId
    mwu: int
    status: ReceiptStatus
    operator: str = ""
    """Whose node it was when it answered."""
    is_told: bool = False
    """It has a receipt over nothing, until it is paid."""


class EarningsSnapshot(Struct):
    """The state as plain values."""

    nodes: dict[str, Account]
    claims: list[Claim]
    due: list[tuple[int, str]]
    number: int


class Earnings:
    """The machine that keeps nodes' earnings, and lets go of them."""

    def __init__(self, ledger: Ledger, money: MoneyParameters) -> None:
        self.money = money
        self._ledger = ledger
        self._nodes: dict[str, Account] = {}
        self._claims: dict[tuple[str, str], Claim] = {}
        self._due: list[tuple[int, str]] = []
        self._number = 0

    def know(self, node: str, operator: str, *, is_unpaid: bool = False) -> None:
        """A node and whose it is now. What it earned for another operator stays that one's."""
        known = self._nodes.setdefault(node, Account(operator))
        known.operator, known.is_unpaid = operator, is_unpaid

    def is_unpaid(self, node: str) -> bool:
        """Whether what the node does now earns nothing."""
        known = self._nodes.get(node)
        return known is not None and known.is_unpaid

    def trust(self, node: str, *, is_trusted: bool) -> None:
        """What the node's tier is now."""
        self._nodes[node].is_trusted = is_trusted

    def dispute(self, node: str, change: int) -> None:
        """One more (1) or less (-1) of the node's answers is disputed."""
        known = self._nodes[node]
        known.disputes += change
        assert known.disputes >= 0, "a dispute ended that never began"

    def operator_of(self, node: str) -> str | None:
        """Whose node it is, if it is known."""
        known = self._nodes.get(node)
        return None if known is None else known.operator

    def pending(self, node: str) -> int:
        """What the node earned that did not vest yet."""
        known = self._nodes.get(node)
        return 0 if known is None else sum(day.amount for day in known.days)

    def held_back(self, node: str, runs_open: int, amount_open: int) -> NodeHeldBack | None:
        """What did not vest, but for what so many runs earned on the sheet that is open. O(the node's days)."""
        known = self._nodes.get(node)
        if known is None:
            return None
        tasks, days = known.tasks - runs_open, list[HeldBack]()
        for day in reversed(known.days):
            told = max(0, day.amount - amount_open)
            amount_open -= day.amount - told
            missing = max(0, min(day.last_task, tasks) + self.money.hold_tasks - tasks)
            vests_ms = -(-(day.last_ms + self.money.hold_ms) // HOUR_MS) * HOUR_MS
            if told:
                days.append(HeldBack(amount=told, vests_ms=vests_ms, tasks_missing=missing))
        return NodeHeldBack(
            operator=known.operator, days=tuple(reversed(days)), is_trusted=known.is_trusted, disputes=known.disputes
        )

    def earned(self, now_ms: int, node: str, operator: str, amount: int) -> None:
        """Something was posted to the operator's pending account for this node's task."""
        known = self._nodes[node]
        known.tasks += 1
        day = known.days[-1] if known.days else None
        is_same = day is not None and day.operator == operator
        day_ms = min(DAY_MS, self.money.hold_ms // DAYS_HELD)
        if day is not None and is_same and (now_ms - day.first_ms < day_ms or len(known.days) >= DAYS_MAX):
            day.last_ms, day.last_task, day.amount = now_ms, known.tasks, day.amount + amount
        else:
            known.days.append(Day(operator, now_ms, now_ms, known.tasks, amount))
        if not known.is_listed:
            known.is_listed = True
            heappush(self._due, (known.days[0].last_ms + self.money.hold_ms, node))

    # Checks

    @property
    def claims(self) -> int:
        """Checks that wait for the pool."""
        return len(self._claims)

    def claim(self, claim: Claim) -> bool:
        """A check earned something; whether it can wait for the pool."""
        if len(self._claims) >= CLAIMS_MAX:
            return False
        self._claims.setdefault((claim.task, claim.attempt), claim)
        return True

    def untold(self, node: str | None = None) -> list[Claim]:
        """Those that have no receipt yet, of a node or of all, in the order of their tasks; each is told once."""
        found = [one for one in sorted(self._claims.values()) if not one.is_told and node in (None, one.node)]
        for claim in found:
            self._claims[claim.task, claim.attempt] = replace(claim, is_told=True)
        return found

    def pay_claims(self, now_ms: int) -> tuple[list[Entry], list[Claim]]:
        """Pay checks as far as the pool reaches, and say which. In the order of their tasks, not of their arrival."""
        pool, paid, left = self._ledger.balance(NET_VERIFY), list[Claim](), list[Claim]()
        for claim in sorted(self._claims.values()):
            if claim.amount <= pool and len(paid) < PAID_AT_ONCE_MAX:
                pool -= claim.amount
                paid.append(claim)
            else:
                left.append(claim)
        if not paid:
            return [], []
        shares: dict[str, int] = {}
        for claim in paid:
            shares[claim.operator] = shares.get(claim.operator, 0) + claim.amount
        self._claims = {(claim.task, claim.attempt): claim for claim in left}
        self._number += 1
        entries = self._post(postings.pay_checks(self._number, sorted(shares.items())))
        for claim in paid:
            self.earned(now_ms, claim.node, claim.operator, claim.amount)
        return entries, paid

    # Letting go

    def next_vesting_ms(self) -> int | None:
        """When something may vest next."""
        return self._due[0][0] if self._due else None

    def vest(self, now_ms: int) -> list[Entry]:
        """Give operators what was held back for long enough. O(nodes looked at)."""
        entries: list[Entry] = []
        for _ in range(LOOKED_AT_MAX):
            if not self._due or self._due[0][0] > now_ms:
                break
            node = heappop(self._due)[1]
            entries += self._vest_node(now_ms, node)
        return entries

    def _vest_node(self, now_ms: int, node: str) -> list[Entry]:
        known, money, vested = self._nodes[node], self.money, dict[str, int]()
        while known.days and known.is_trusted and not known.disputes:
            day = known.days[0]
            if day.last_ms + money.hold_ms > now_ms or day.last_task + money.hold_tasks > known.tasks:
                break
            del known.days[0]
            vested[day.operator] = vested.get(day.operator, 0) + day.amount
        known.is_listed = bool(known.days)
        if known.days:
            # What waits for tasks, for trust or for a dispute is looked at again in a day.
            again_ms = max(known.days[0].last_ms + money.hold_ms, now_ms + min(money.hold_ms, DAY_MS) + 1)
            heappush(self._due, (again_ms, node))
        if not vested:
            return []
        self._number += 1
        return self._post(postings.vest(self._number, vested.items()))

    def claw_back(self, fault: str, node: str, since_ms: int = 0) -> list[Entry]:
        """A node was found false: what it earned since then and did not vest is lost."""
        known = self._nodes[node]
        lost: dict[str, int] = {}
        for day in known.days:
            if day.last_ms >= since_ms:
                lost[day.operator] = lost.get(day.operator, 0) + day.amount
        known.days = [day for day in known.days if day.last_ms < since_ms]
        self._claims = {key: claim for key, claim in self._claims.items() if claim.node != node}
        return self._post(postings.claw_back(fault, lost.items())) if lost else []

    def slash(self, fault: str, node: str, reward: int) -> list[Entry]:
        """A referee proved the node's answer false: of its operator's stake, so many rewards at most."""
        operator = self._nodes[node].operator
        amount = min(self._ledger.balance(op_stake(operator)), reward * self.money.slash_rewards_max)
        return self._post(postings.slash(fault, operator, amount)) if amount else []

    def _post(self, draft: Draft) -> list[Entry]:
        return [self._ledger.post(draft.key, draft.postings)]

    def check(self) -> None:
        """Assert that no operator's pending account has less than its nodes' days add up to. O(nodes)."""
        pending: dict[str, int] = {}
        for known in self._nodes.values():
            for day in known.days:
                pending[day.operator] = pending.get(day.operator, 0) + day.amount
            assert len(known.days) <= DAYS_MAX
            assert known.is_listed or not known.days, "earnings that nobody will look at"
        for operator, amount in pending.items():
            assert self._ledger.balance(op_pending(operator)) >= amount, f"{operator} lacks what its nodes earned"

    def snapshot(self) -> EarningsSnapshot:
        """The state, to be encoded at once: it shares the machine's own objects."""
        return EarningsSnapshot(self._nodes, list(self._claims.values()), self._due, self._number)

    def restore(self, snapshot: EarningsSnapshot) -> None:
        """Take what `snapshot` gave, after a trip through bytes."""
        self._nodes = dict(snapshot.nodes)
        self._claims = {}
        for claim in snapshot.claims:  # an old one does not say whose node it was
            whose = claim.operator or self._nodes[claim.node].operator
            self._claims[claim.task, claim.attempt] = replace(claim, operator=whose)
        self._due, self._number = list(snapshot.due), snapshot.number
