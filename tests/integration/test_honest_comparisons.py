"""The real model on real photos in every variant of an honest node: a short form of `make honest`."""

import pytest
from benchmarks.honest_comparisons import VARIANTS, Findings, Sitting, at_most, differences

from gridlight.messages.results import Detection, encode_detections
from gridlight.workloads.detection.run import Output

COMPARISONS = 100
FORGERIES = {
    "empty",
    "another picture's",
    "labels changed",
    "best dropped",
    "boxes off by 4 px",
    "scores off by 0.05",
    "faint things added",
    "faint things dropped",
}


NEAR_TIE = 833
"""Two boxes of a cup in it score the same but for a last bit: the one mismatch that 10,000 comparisons ever had."""


@pytest.fixture(scope="module")
def sitting() -> Sitting:
    return Sitting()


@pytest.fixture(scope="module")
def findings(sitting: Sitting) -> Findings:
    return sitting.compare_many(range(COMPARISONS), lambda *_: None)


def test_no_honest_node_is_told_from_another(findings: Findings) -> None:
    assert findings.total.comparisons == COMPARISONS
    assert findings.mismatched == []


def test_a_near_tie_tells_nobody_from_another(sitting: Sitting) -> None:
    findings = sitting.compare_many(range(NEAR_TIE, NEAR_TIE + 1), lambda *_: None)
    assert findings.mismatched == []


def test_the_variants_do_differ_and_their_pictures_show_something(findings: Findings) -> None:
    assert {variant for pair in findings.pairs for variant in pair} == set(VARIANTS)
    assert findings.total.raw_delta > 0
    assert findings.total.informative > COMPARISONS // 2


def test_no_forgery_passes_where_something_was_found(findings: Findings) -> None:
    assert set(findings.forged) == FORGERIES
    assert all(tried > COMPARISONS // 10 for _, tried in findings.forged.values())
    assert {name: accepted for name, (accepted, _) in findings.forged.items() if accepted} == {}


def test_the_bound_is_the_exact_one() -> None:
    assert at_most(0, 10_000) == pytest.approx(1 - 0.05 ** (1 / 10_000))
    assert at_most(1, 2) == pytest.approx(0.95**0.5)
    assert at_most(3, 3) == 1
    assert at_most(5, 100) == pytest.approx(0.10225, abs=1e-5)


def test_differences_are_measured_beyond_all_tolerances() -> None:
    def output(*found: Detection) -> Output:
        return Output(encode_detections(list(found)), [100])

    thing = Detection(class_id=1, score=9_000, box=(0, 0, 160, 160))
    moved = Detection(class_id=1, score=8_000, box=(0, 0, 160, 120))
    lone = Detection(class_id=2, score=3_000, box=(0, 0, 160, 160))

    tally = differences(output(thing), output(moved, lone))

    assert (tally.equal, tally.score_delta, tally.box_delta) == (0, 1_000, 40)
    assert (tally.alone, tally.alone_score) == (1, 3_000)
