"""Why a node gets nothing, of a span of time: from the network's answer and the node's own samples."""

import io
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from gridlight.client.errors import BadInput
from gridlight.client.why import Explanation, difference, explain, length_ms
from gridlight.client.why_table import print_explanation
from gridlight.messages.api import WhyResponse, WorkloadWhy
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.reasons import Reason, ReasonsSample, SampledReasons, WorkloadReasons
from gridlight.services.gateway.why import why_response

HOUR_MS = 3_600_000
NOW_MS = 1_795_000_000_000
DAY_MS = 24 * HOUR_MS
NODE = NodeId("U" + "A" * 55)
WORKLOAD = WorkloadId("coco-ssd@sha256:" + "0" * 64)
OTHER = WorkloadId("ocr@sha256:" + "1" * 64)
URL = "http://127.0.0.1:8080"
COUNTS = {Reason.NOT_DRAWN: 100, Reason.OFFLINE: 40, Reason.DONE: 9, Reason.IN_HAND: 1}


def answer(
    counts: dict[Reason, int] = COUNTS, *, since_ms: int = NOW_MS - 9 * DAY_MS, workload: WorkloadId = WORKLOAD
) -> WhyResponse:
    """What the network says now."""
    counted = WorkloadReasons(
        workload=workload, since_ms=since_ms, considered=sum(counts.values()), reasons=dict(counts)
    )
    return why_response(NODE, NOW_MS, (counted,))


def sample(hours_ago: int, *, since_ms: int = NOW_MS - 9 * DAY_MS, **counts: int) -> ReasonsSample:
    """What it said then."""
    workload = SampledReasons(workload=WORKLOAD, since_ms=since_ms, considered=sum(counts.values()), reasons=counts)
    return ReasonsSample(network=URL, at_ms=NOW_MS - hours_ago * HOUR_MS, workloads=(workload,))


def explained(why: WhyResponse, *samples: ReasonsSample, hours: int = 24) -> Explanation:
    told = explain(why, list(samples), hours * HOUR_MS, network=URL, is_agent_running=True)
    assert sum(view.tasks for view in told.reasons) == told.considered
    assert all(view.tasks > 0 for view in told.reasons)
    return told


def counted(told: Explanation) -> dict[str, int]:
    return {view.reason: view.tasks for view in told.reasons}


def hours_ago(told: Explanation) -> float:
    return (told.until_ms - told.from_ms) / HOUR_MS


def test_what_was_counted_before_is_taken_off() -> None:
    told = explained(answer(), sample(30, not_drawn=10), sample(25, not_drawn=90, offline=40), sample(3, not_drawn=99))

    assert counted(told) == {"not_drawn": 10, "done": 9, "in_hand": 1}
    assert hours_ago(told) == 25, "the nearest sample at or before"
    assert (told.considered, told.given) == (20, 10)


def test_a_sample_of_the_very_moment_serves() -> None:
    assert hours_ago(explained(answer(), sample(24, not_drawn=90), sample(23, not_drawn=95))) == 24


def test_a_node_that_is_younger_than_the_span_is_counted_from_its_beginning() -> None:
    young = NOW_MS - 2 * HOUR_MS
    told = explained(answer(since_ms=young), sample(1, since_ms=young, not_drawn=90))

    assert told.considered == 150
    assert hours_ago(told) == 2


def test_where_no_sample_is_as_old_the_oldest_serves() -> None:
    told = explained(answer(), sample(5, not_drawn=50), sample(2, not_drawn=99))

    assert hours_ago(told) == 5
    assert counted(told)["not_drawn"] == 50


def test_without_a_sample_everything_counts() -> None:
    told = explained(answer())

    assert told.considered == 150
    assert hours_ago(told) == 9 * 24


def test_a_sample_of_a_count_that_began_anew_is_of_no_use() -> None:
    told = explained(answer(), sample(25, since_ms=NOW_MS - 20 * DAY_MS, not_drawn=90))

    assert told.considered == 150
    assert counted(explained(answer(), sample(26, not_drawn=90), sample(25, since_ms=5, done=1)))["not_drawn"] == 10


def test_a_sample_that_somebody_wrote_is_of_no_use() -> None:
    told = explained(answer(), sample(25, not_drawn=4_000, late=7))

    assert told.considered == 150


def test_a_sample_without_the_workload_is_of_no_use() -> None:
    told = explained(answer(workload=OTHER), sample(25, not_drawn=90))

    assert told.considered == 150


def test_workloads_are_added_up_from_the_earliest_on() -> None:
    first, second = answer(), answer({Reason.DONE: 5}, since_ms=NOW_MS - HOUR_MS, workload=OTHER)
    both = replace(first, workloads=[*first.workloads, *second.workloads])

    told = explained(both, sample(25, not_drawn=100, offline=40))

    assert counted(told) == {"done": 14, "in_hand": 1}
    assert hours_ago(told) == 25


def test_a_node_that_offered_nothing_yet_was_considered_for_nothing() -> None:
    told = explained(WhyResponse(node_id=NODE, at_ms=NOW_MS, workloads=[]))

    assert (told.considered, told.given, hours_ago(told)) == (0, 0, 24)


def test_what_the_node_had_in_hand_then_counts_as_given_since() -> None:
    assert difference({"done": 5}, {"done": 4, "in_hand": 1}) == {"done": 1}
    assert difference({"done": 4, "in_hand": 2}, {"done": 4, "in_hand": 1}) == {"in_hand": 2}


def test_an_older_answer_that_came_to_nothing_since_is_left_out() -> None:
    assert difference({"done": 2, "void": 3}, {"done": 5}) == {}
    assert difference({"done": 2, "void": 2, "contradicted": 1, "late": 1}, {"done": 4}) == {
        "contradicted": 1,
        "late": 1,
    }
    assert difference({"done": 2, "contradicted": 2}, {"done": 4}) == {}


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("30m", 1_800_000), (" 24h", DAY_MS), ("7d", 7 * DAY_MS)])
def test_a_span_is_a_number_and_a_unit(text: str, ms: int) -> None:
    assert length_ms(text) == ms


@pytest.mark.parametrize("text", ["", "24", "h", "0h", "-1h", "1w", "1.5h", "9999999d", "24h30m"])
def test_what_is_no_span_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(BadInput, match="no length of time") as refused:
        length_ms(text)
    assert "24h" in refused.value.hint


def printed(told: Explanation) -> str:
    """What a person reads, in one line a line."""
    out = io.StringIO()
    print_explanation(Console(file=out, width=200), told)
    return out.getvalue()


def test_a_person_reads_how_often_in_which_share_why_and_what_to_do() -> None:
    text = printed(explained(answer()))

    assert "150 tasks were given out, 10 of them to this node" in text
    line = next(line for line in text.splitlines() if "It was not connected." in line)
    assert "40" in line
    assert "26.7%" in line
    assert "Keep the machine awake" in line
    assert text.index("It was not connected.") < text.index("It gave its result in time.")
    assert "no agent runs" not in text


def test_a_person_whose_agent_does_not_run_is_told_that_first() -> None:
    text = printed(replace(explained(answer()), is_agent_running=False))

    assert text.index("no agent runs with this folder") < text.index("150 tasks")


def test_a_person_reads_that_there_was_no_work_for_anybody() -> None:
    text = printed(explained(answer({})))

    assert "no task" in text
    assert "%" not in text


@pytest.mark.parametrize("counts", [{Reason.DONE: 1}, {Reason.BUSY: 1}])
def test_a_table_without_lines_is_not_shown(counts: dict[Any, int]) -> None:
    text = printed(explained(answer(counts)))

    assert ("why it did not get" in text) == (Reason.BUSY in counts)
    assert ("what became of those" in text) == (Reason.DONE in counts)


def test_a_reason_of_a_newer_network_is_shown_in_its_own_words() -> None:
    why = answer({Reason.DONE: 1})
    (workload,) = why.workloads
    newer = [replace(view, reason="out_of_moon", sentence="The moon was full.") for view in workload.reasons]
    workloads = [WorkloadWhy(workload.workload, workload.since_ms, workload.considered, newer)]

    assert "The moon was full." in printed(explained(replace(why, workloads=workloads)))
