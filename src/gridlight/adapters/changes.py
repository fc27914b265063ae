"""What a batch changes in the read models of jobs and nodes; verification's are in `verified`, money in `books`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UnsetType
from sqlalchemy import Connection, bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from gridlight.adapters.books import BookChanges, Sign, unsigned
from gridlight.adapters.kept_words import WordChanges
from gridlight.adapters.offered import WorkloadChanges
from gridlight.adapters.prepared import Prepared
from gridlight.adapters.schema import jobs, nodes, rulings
from gridlight.adapters.verified import VerificationChanges
from gridlight.messages.codec import Effect, Event
from gridlight.messages.host import RecordNode, RequestAllOffers
from gridlight.messages.ids import NodeId
from gridlight.messages.jobs import EndJob, JobSubmitted
from gridlight.messages.operators import RecordRuling

_INSERT_JOB = Prepared(
    {
        "sqlite": sqlite.insert(jobs).on_conflict_do_nothing(),
        "postgresql": postgresql.insert(jobs).on_conflict_do_nothing(),
    }
)
_END_JOB = Prepared(
    update(jobs)
    .where(jobs.c.job_id == bindparam("ended_id"), jobs.c.outcome.is_(None))  # what was once said stands
    .values(outcome=bindparam("outcome"), ended_ms=bindparam("ended_ms"))
)
_COUNT_ANSWERS = Prepared(
    update(nodes)
    .where(nodes.c.node_id == bindparam("answering_id"))
    .values(tasks_answered=nodes.c.tasks_answered + bindparam("answered"))
)
_UPDATE_NODE = update(nodes).where(nodes.c.node_id == bindparam("recorded_id"))
_ALL_OFFLINE = update(nodes).values(is_online=False, slots=0)


class Changes:
    """What one batch of events and effects does to the read models, gathered so that each table is written once."""

    def __init__(
        self,
        now_ms: int,
        events: Iterable[Event],
        effects: Sequence[Effect],
        sign: Sign = unsigned,
        *,
        waited: Iterable[tuple[int, Iterable[Event]]] = (),
    ) -> None:
        """`waited` are earlier batches without effects, each with its time: of them, only new jobs are read."""
        told = (*waited, (now_ms, events))
        self._opened = [_opened_row(at_ms, one) for at_ms, some in told for one in some if type(one) is JobSubmitted]
        self._ended: list[dict[str, Any]] = []
        self._answers: Counter[NodeId] = Counter()
        self._nodes: list[RecordNode] = []
        self._rulings: list[dict[str, Any]] = []
        self._are_all_offline = False
        self._verified = VerificationChanges(now_ms, events, effects)
        self._offered = WorkloadChanges(now_ms, effects)
        self._books = BookChanges(now_ms, effects, sign)
        self._words = WordChanges(effects, sign)
        for effect in effects:
            if type(effect) is EndJob and not effect.is_repeated:
                self._end(now_ms, effect)
            elif type(effect) is RecordNode:
                self._nodes.append(effect)
            elif type(effect) is RecordRuling:
                self._rulings.append(_ruling_row(now_ms, effect))
            elif type(effect) is RequestAllOffers:
                # Whoever came before it in this batch is offline again; who comes after it is online.
                self._are_all_offline = True
                self._nodes = [msgspec.structs.replace(record, is_online=False, slots=0) for record in self._nodes]

    def _end(self, now_ms: int, effect: EndJob) -> None:
        outcome = msgspec.msgpack.encode(effect.outcome)
        self._ended.append({"ended_id": effect.job_id, "outcome": outcome, "ended_ms": now_ms})
        if effect.outcome.node_id is not None:
            self._answers[effect.outcome.node_id] += 1

    def write(self, connection: Connection) -> None:
        """Within the transaction of the journal's record."""
        if self._opened:
            # A job may be told twice, by a gateway that announces its open jobs again: the first word stands.
            _INSERT_JOB.write(connection, self._opened)
        if self._ended:
            _END_JOB.write(connection, self._ended)
        if self._are_all_offline:
            connection.execute(_ALL_OFFLINE)
        for record in self._nodes:
            _write_node(connection, record)
        if self._rulings:
            connection.execute(insert(rulings), self._rulings)
        if self._answers:
            answers = [{"answering_id": node_id, "answered": count} for node_id, count in self._answers.items()]
            _COUNT_ANSWERS.write(connection, answers)
        self._verified.write(connection)
        self._offered.write(connection)
        self._books.write(connection)
        self._words.write(connection)


def _opened_row(now_ms: int, job: JobSubmitted) -> dict[str, Any]:
    return {"job_id": job.job_id, "submitted_ms": now_ms, "submitted": msgspec.msgpack.encode(job)}


def _ruling_row(now_ms: int, record: RecordRuling) -> dict[str, Any]:
    ruled = record.ruled
    return {
        "key": ruled.key,
        "verdict": ruled.verdict.value,
        "reason": ruled.reason,
        "nodes": record.nodes,
        "at_ms": now_ms,
    }


def _write_node(connection: Connection, record: RecordNode) -> None:
    enrolled = record.enrolled
    values = {
        "operator": enrolled.operator,
        "agent_version": enrolled.agent_version,
        "cpus": enrolled.cpus,
        "memory_mib": enrolled.memory_mib,
        "is_online": record.is_online,
        "slots": record.slots,
        "workloads": " ".join(record.workloads),
        "hold": None if isinstance(record.hold, UnsetType) else record.hold.value,
    }
    changed = connection.execute(_UPDATE_NODE.values(values), {"recorded_id": enrolled.node_id})
    if not changed.rowcount:
        connection.execute(insert(nodes).values(node_id=enrolled.node_id, tasks_answered=0, **values))
