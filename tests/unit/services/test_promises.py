"""A result without a word is told of once, a missed receipt while it is missing; and nothing where no words are."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.core.world import DIGEST, WORKLOAD, node_id

from gridlight.adapters.clock import monotonic_ms
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.word_files import WordFiles
from gridlight.messages.ids import AssignmentId
from gridlight.messages.results import ResultSubmitted, RunTiming
from gridlight.messages.tasks import Assignment, AssignmentFailed, FailureCode
from gridlight.services.agent.gateway_api import GatewayApi
from gridlight.services.agent.own_words import Heard
from gridlight.services.agent.promises import WORD_WITHIN_MS, Promises


@pytest.fixture
def promises(tmp_path: Path) -> Promises:
    return Promises(GatewayApi("http://127.0.0.1:9"), SigningKey.generate(), WordFiles(tmp_path))


def answer(promises: Promises, number: int, *, deadline_ms: int = 60_000) -> AssignmentId:
    """A result that went out at once."""
    assignment_id = AssignmentId(f"{number:016x}")
    promises.took(
        Assignment(
            assignment_id=assignment_id,
            workload=WORKLOAD,
            deadline_ms=deadline_ms,
            input_digest=DIGEST,
            input_bytes=1,
            probe_seed=1,
        )
    )
    timing = RunTiming(queue=0, infer=1)
    promises.said(
        ResultSubmitted(
            assignment_id=assignment_id, node_id=node_id(1), output_digest=DIGEST, output_bytes=0, timing=timing
        )
    )
    return assignment_id


def heard(*attempts: str, gives_words: bool = True, overdue: int = 0) -> Heard:
    return Heard(attempts=list(attempts), gives_words=gives_words, owed=overdue, overdue=overdue)


def told(promises: Promises, what: Heard, *, later_ms: int = WORD_WITHIN_MS) -> list[str]:
    """What the owner is warned of."""
    with capture_logs() as logs:
        promises._compare(what, monotonic_ms() + later_ms)
    return [str(line["event"]) for line in logs if line["log_level"] == "warning"]


def test_a_result_without_a_word_is_told_of_once(promises: Promises) -> None:
    said, unsaid = answer(promises, 1), answer(promises, 2)
    assert told(promises, heard(said), later_ms=1_000) == [], "there is time still"
    assert told(promises, heard()) == ["the network gave no word on results that this node sent in time"]
    assert told(promises, heard()) == []
    with promises._files.held() as standing:
        assert (standing.unheard, standing.unheard_ms > 0) == (1, True)
    assert unsaid


def test_what_is_late_or_no_result_is_owed_nothing(promises: Promises) -> None:
    answer(promises, 1, deadline_ms=100)
    failed = AssignmentFailed(assignment_id=AssignmentId("ab" * 8), node_id=node_id(1), code=FailureCode.CANCELLED)
    promises.said(failed)
    assert told(promises, heard()) == []


def test_a_network_that_gives_no_words_promised_none(promises: Promises) -> None:
    answer(promises, 1)
    assert told(promises, heard(gives_words=False)) == []
    assert told(promises, heard()) == []


def test_an_overdue_receipt_is_told_of(promises: Promises) -> None:
    assert told(promises, heard(overdue=2)) == ["the network owes receipts that are overdue"]


def test_a_network_that_is_away_is_asked_again(promises: Promises) -> None:
    answer(promises, 1)
    with capture_logs() as logs:
        promises.ask()
    assert [line["log_level"] for line in logs] == ["info"]
    assert told(promises, heard()) != []
