"""What a batch changes in the read models of verification: answers, checks, faults, standings, epochs, parameters.

Answers are kept as long as their jobs are; of the checks, the newest 100,000.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, assert_never, cast, get_args

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gridlight.adapters.prepared import Prepared
from gridlight.adapters.schema import checks, commits, epochs, faults, network, standings
from gridlight.messages.codec import Effect, Event, TrustRecord
from gridlight.messages.host import CoordinatorStarted
from gridlight.messages.ids import NodeId
from gridlight.messages.trust import (
    EpochBegan,
    RecordCheck,
    RecordCommit,
    RecordEpoch,
    RecordFault,
    RecordStanding,
    RecordVerification,
    SettleCommits,
    Verification,
)

CHECKS_KEPT_MAX: Final = 100_000
_THE_ROW: Final = 1

Row = dict[str, Any]


def _insert_once(table: Table, **values: Any) -> Prepared:
    """What was once recorded stands: a record that comes again changes nothing."""
    statement: Any
    made: dict[str, Any] = {}
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
        statement = dialect.insert(table).on_conflict_do_nothing()
        made[name] = statement.values(values) if values else statement
    return Prepared(made)


def _insert_or_replace(table: Table) -> Prepared:
    """The newest word is the one that counts."""
    key = list(table.primary_key.columns)
    statement: Any
    made: dict[str, Any] = {}
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
        statement = dialect.insert(table)
        newest = {column.name: statement.excluded[column.name] for column in table.columns if column not in key}
        made[name] = statement.on_conflict_do_update(index_elements=key, set_=newest)
    return Prepared(made)


_PROVISIONAL: Final = Verification.PROVISIONAL.value
_DISPUTED: Final = Verification.DISPUTED.value
_INSERT_COMMIT: Final = _insert_once(commits)
_VERIFY: Final = Prepared(
    update(commits)
    .where(commits.c.commit == bindparam("of_commit"))
    .where((commits.c.verification == _PROVISIONAL) | (commits.c.verification == _DISPUTED))  # the others stay
    .values(verification=bindparam("known"), output=bindparam("corrected"), changed_ms=bindparam("now_ms"))
)


def _settling(*, are_bound_kept: bool) -> Prepared:
    wanted = (
        update(commits)
        .where(commits.c.node_id == bindparam("of_node"), commits.c.commit <= bindparam("up_to"))
        .where(commits.c.verification == literal_column(f"'{_PROVISIONAL}'"))  # in words, as the index has it
    )
    wanted = wanted.where(commits.c.is_bound.is_(False)) if are_bound_kept else wanted
    return Prepared(wanted.values(verification=bindparam("known"), changed_ms=bindparam("now_ms")))


_SETTLE: Final = _settling(are_bound_kept=True)
_SETTLE_AS_VOID: Final = _settling(are_bound_kept=False)
_INSERT_CHECK: Final = _insert_once(
    checks,
    primary_id=select(commits.c.node_id).where(commits.c.commit == bindparam("of_commit")).scalar_subquery(),
)
_FORGET_CHECKS: Final = delete(checks).where(checks.c.check <= bindparam("forgotten"))
_INSERT_FAULT: Final = _insert_once(faults)
_REPLACE_STANDING: Final = _insert_or_replace(standings)
_INSERT_EPOCH: Final = _insert_once(epochs)
_BEGIN_EPOCH: Final = Prepared(
    update(epochs)
    .where(epochs.c.epoch == bindparam("begun"), epochs.c.began_ms.is_(None))
    .values(began_ms=bindparam("now_ms"))
)
_REVEAL_EPOCH: Final = Prepared(
    update(epochs)
    .where(epochs.c.epoch == bindparam("revealed"), epochs.c.secret.is_(None))
    .values(secret=bindparam("told"), revealed_ms=bindparam("now_ms"))
)
_REPLACE_NETWORK: Final = _insert_or_replace(network)
_KINDS: Final = frozenset(get_args(TrustRecord))


class VerificationChanges:
    """One batch's share in verification's tables.

    Answers are written in the order of the effects, one statement for each run of alike ones: a settlement means those
    committed before it, and none that was disputed before it. FINAL leaves out answers that are bound to an audit of
    their own; VOID takes them along, since their node's word stands for nothing any more. The other tables do not
    depend on that order, and are written once each.
    """

    def __init__(self, now_ms: int, events: Iterable[Event], effects: Iterable[Effect]) -> None:
        self._now_ms = now_ms
        self._answers: list[tuple[Prepared, list[Row]]] = []
        self._checks: list[Row] = []
        self._faults: list[Row] = []
        self._standings: dict[NodeId, Row] = {}
        self._epochs: list[Row] = []
        self._revealed: list[Row] = []
        self._begun: list[Row] = []
        self._network: list[Row] = []
        for event in events:
            if type(event) is EpochBegan:
                self._begun.append({"begun": event.epoch, "now_ms": now_ms})
            elif type(event) is CoordinatorStarted:
                self._network = [{"row": _THE_ROW, "trust": msgspec.msgpack.encode(event.trust)}]
        for effect in effects:
            if type(effect) in _KINDS:
                self._gather(cast("TrustRecord", effect))

    def _gather(self, effect: TrustRecord) -> None:
        now_ms = self._now_ms
        match effect:
            case RecordCommit():
                self._answer(_INSERT_COMMIT, _row(effect) | {"committed_ms": now_ms, "changed_ms": now_ms})
            case RecordVerification(commit=commit, verification=known, output=output):
                row = {"of_commit": commit, "known": known.value, "corrected": output, "now_ms": now_ms}
                self._answer(_VERIFY, row)
            case SettleCommits(node_id=node_id, commit=commit, verification=known):
                statement = _SETTLE_AS_VOID if known is Verification.VOID else _SETTLE
                self._answer(statement, {"of_node": node_id, "up_to": commit, "known": known.value, "now_ms": now_ms})
            case RecordCheck():
                self._checks.append(_row(effect) | {"of_commit": effect.commit, "at_ms": now_ms})
            case RecordFault():
                self._faults.append(_row(effect) | {"at_ms": now_ms})
            case RecordStanding():
                self._standings[effect.node_id] = _row(effect) | {"changed_ms": now_ms}
            case RecordEpoch(epoch=epoch, commitment=commitment, secret=secret):
                self._epochs.append({"epoch": epoch, "commitment": commitment, "committed_ms": now_ms})
                if secret is not None:
                    self._revealed.append({"revealed": epoch, "told": secret, "now_ms": now_ms})
            case _:
                assert_never(effect)

    def _answer(self, statement: Prepared, row: Row) -> None:
        if self._answers and self._answers[-1][0] is statement:
            self._answers[-1][1].append(row)
        else:
            self._answers.append((statement, [row]))

    def write(self, connection: Connection) -> None:
        """Within the transaction of the journal's record."""
        later = (
            (_REPLACE_NETWORK, self._network),
            (_INSERT_CHECK, self._checks),  # which looks its answer up, so after the answers
            (_INSERT_FAULT, self._faults),
            (_REPLACE_STANDING, list(self._standings.values())),
            (_INSERT_EPOCH, self._epochs),
            (_BEGIN_EPOCH, self._begun),
            (_REVEAL_EPOCH, self._revealed),
        )
        for statement, rows in (*self._answers, *later):
            if rows:
                statement.write(connection, rows)
        if self._checks:
            newest = max(row["check"] for row in self._checks)
            connection.execute(_FORGET_CHECKS, {"forgotten": newest - CHECKS_KEPT_MAX})


def _row(record: TrustRecord) -> Row:
    """Of a table whose columns are named as the record's fields are."""
    return {name: _plain(getattr(record, name)) for name in record.__struct_fields__}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
