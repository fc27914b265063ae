"""What scheduling counts, for figures and reports; no decision hangs on it."""

from enum import StrEnum


class Count(StrEnum):
    """What scheduling counts."""

    DISPATCHED = "dispatched"
    CHECKS_DISPATCHED = "checks_dispatched"
    REPLACED_UNACKED = "replaced_unacked"
    REPLACED_LOST = "replaced_lost"
    HEDGED = "hedged"
    HEDGE_WITHOUT_BUDGET = "hedge_without_budget"
    HEDGE_WITHOUT_NODE = "hedge_without_node"
    ACK_MISSED = "ack_missed"
    LEASE_EXPIRED = "lease_expired"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    RESULT_LATE = "result_late"
    REPLY_UNKNOWN = "reply_unknown"
