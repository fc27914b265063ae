"""A node's own samples: kept in a file, a month at most, whatever somebody wrote into it."""

from pathlib import Path

import pytest

from gridlight.adapters import samples as limits
from gridlight.adapters.samples import KEPT_MS, SAMPLES_FILE, Samples, sampled
from gridlight.messages.api import ReasonView, WorkloadWhy
from gridlight.messages.codec import encode
from gridlight.messages.reasons import ReasonsSample, SampledReasons

HOUR_MS = 3_600_000
NOW_MS = 1_795_000_000_000
DONE = ReasonView("done", 4, is_given=True, sentence="It gave its result in time.", advice="Nothing.")
WORKLOAD = SampledReasons(workload="w", since_ms=1, considered=4, reasons={"done": 4})


def sample(at_ms: int) -> ReasonsSample:
    return ReasonsSample(network="http://127.0.0.1:8080", at_ms=at_ms, workloads=(WORKLOAD,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / SAMPLES_FILE


def test_a_folder_without_samples_has_none(path: Path) -> None:
    assert Samples(path).read() == []


def test_what_is_added_is_read_again_oldest_first(path: Path) -> None:
    for at_ms in (NOW_MS, NOW_MS + 2, NOW_MS + 1):
        Samples(path).add(sample(at_ms))

    assert [one.at_ms for one in Samples(path).read()] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]
    assert Samples(path).read()[0] == sample(NOW_MS)


def test_one_agent_only_adds_lines_between_tidying(path: Path) -> None:
    samples = Samples(path)
    samples.add(sample(NOW_MS))
    inode = path.stat().st_ino

    samples.add(sample(NOW_MS + 1))

    assert path.stat().st_ino == inode
    assert len(samples.read()) == 2


def test_what_is_older_than_a_month_is_dropped(path: Path) -> None:
    path.write_bytes(b"".join(encode(sample(NOW_MS + age)) + b"\n" for age in (-KEPT_MS, -KEPT_MS + 1, -1)))

    Samples(path).add(sample(NOW_MS))

    assert [one.at_ms - NOW_MS for one in Samples(path).read()] == [-KEPT_MS + 1, -1, 0]


def test_an_agent_that_is_started_over_and_over_keeps_no_more_than_may_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SAMPLES_MAX", 3)
    for at_ms in range(NOW_MS, NOW_MS + 6):
        Samples(path).add(sample(at_ms))

    assert [one.at_ms - NOW_MS for one in Samples(path).read()] == [3, 4, 5]
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("junk", [b"", b"\n", b"{", b'{"at_ms": "now"}\n', b"\xff\xfe\n", b"x" * 200_000])
def test_what_cannot_be_read_is_passed_over(path: Path, junk: bytes) -> None:
    path.write_bytes(encode(sample(NOW_MS)) + b"\n" + junk)

    assert Samples(path).read() == [sample(NOW_MS)]


def test_of_an_answer_its_counts_are_kept() -> None:
    why = WorkloadWhy(workload="w", since_ms=1, considered=4, reasons=[DONE])

    assert sampled(why) == WORKLOAD
