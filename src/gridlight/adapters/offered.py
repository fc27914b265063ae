"""What a batch changes in the read model of workloads: approved, stopped, expired."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, insert, update

from gridlight.adapters.schema import workloads
from gridlight.messages.codec import Effect
from gridlight.messages.workloads import RecordWorkload


class WorkloadChanges:
    """What one batch does to the table, in its order."""

    def __init__(self, now_ms: int, effects: Iterable[Effect]) -> None:
        self._now_ms = now_ms
        self._records = [effect for effect in effects if type(effect) is RecordWorkload]

    def write(self, connection: Connection) -> None:
        """Within the transaction of the journal's record."""
        for record in self._records:
            values = _values(record, self._now_ms)
            of_it = workloads.c.workload == record.workload
            if not connection.execute(update(workloads).where(of_it).values(values)).rowcount:
                connection.execute(insert(workloads).values(workload=record.workload, **values))


def _values(record: RecordWorkload, now_ms: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": record.state.value,
        "serial": record.serial,
        "rollout_percent": record.rollout_percent,
        "expires_ms": record.expires_ms,
        "changed_ms": now_ms,
    }
    if record.approved is not None:
        values |= {
            "manifest": record.approved.manifest,
            "publication": record.approved.publication,
            "countersignature": record.approved.countersignature,
        }
    return values
