"""Logs of services: one JSON object a line, whatever is said, and never half a line."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gridlight.adapters.logs import COPY_BYTES_MAX, newest, older, readable, write_json_logs


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """Configuring is for a whole process; other tests are in it too."""
    yield
    if structlog.is_configured():
        end_process()


def end_process() -> None:
    """What the end of a process does to its log."""
    stream = structlog.get_config()["logger_factory"]._file
    if stream not in (None, sys.stderr):  # None where another test listened to what was logged, and that has ended
        stream.close()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_says_when_who_how_bad_and_what(tmp_path: Path) -> None:
    path = tmp_path / "made" / "log.jsonl"
    write_json_logs(path, service="coordinator")

    structlog.get_logger().warning("not sent", node_id="U1", error="two\nlines")

    [line] = lines(path.read_text())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "service": "coordinator",
        "level": "warning",
        "event": "not sent",
        "node_id": "U1",
        "error": "two\nlines",
    }


def test_a_logger_of_before_the_start_writes_there_too(tmp_path: Path) -> None:
    log = structlog.get_logger()  # as every module has one
    write_json_logs(tmp_path / "log.jsonl", service="agent")

    log.info("connected")

    assert [line["event"] for line in lines((tmp_path / "log.jsonl").read_text())] == ["connected"]


def test_a_restarted_service_goes_on_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for number in range(2):
        write_json_logs(path, service="gateway")
        structlog.get_logger().info("started", number=number)
        end_process()

    assert [line["number"] for line in lines(path.read_text())] == [0, 1]


def test_an_error_is_told_with_its_traceback_in_one_line(tmp_path: Path) -> None:
    write_json_logs(tmp_path / "log.jsonl", service="agent")
    try:
        int("seven")
    except ValueError as error:
        structlog.get_logger().critical("a handler failed", exc_info=error)

    [line] = lines((tmp_path / "log.jsonl").read_text())
    assert line["level"] == "critical"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'seven'")


def test_a_value_that_json_does_not_know_is_told_all_the_same(tmp_path: Path) -> None:
    write_json_logs(tmp_path / "log.jsonl", service="agent")

    structlog.get_logger().info("fetching", path=Path("blobs"), raw=b"\xff")

    [line] = lines((tmp_path / "log.jsonl").read_text())
    assert "blobs" in line["path"]
    assert "xff" in line["raw"]


def test_without_a_file_standard_error_hears_it(capsys: pytest.CaptureFixture[str]) -> None:
    write_json_logs(None, service="agent")

    structlog.get_logger().info("enrolled")

    said = capsys.readouterr()
    assert said.out == ""
    assert [line["event"] for line in lines(said.err)] == ["enrolled"]


# A copy of bounded length


def test_a_copy_holds_what_is_said_beside_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "agent.jsonl"
    write_json_logs(None, service="agent", copy=copy)

    structlog.get_logger().info("connected", nats_url="nats://127.0.0.1:1")

    assert [line["event"] for line in lines(copy.read_text())] == ["connected"]
    assert lines(capsys.readouterr().err) == lines(copy.read_text())


def test_a_copy_never_grows_beyond_its_bound_and_loses_the_oldest(tmp_path: Path) -> None:
    copy = tmp_path / "agent.jsonl"
    write_json_logs(tmp_path / "log.jsonl", service="agent", copy=copy)
    said = 3 * COPY_BYTES_MAX // 100_000
    for number in range(said):
        structlog.get_logger().info("told", number=number, words="x" * 100_000)

    kept = lines("\n".join(newest(copy, said)))
    assert copy.stat().st_size <= COPY_BYTES_MAX
    assert older(copy).stat().st_size <= COPY_BYTES_MAX
    assert {path.name for path in tmp_path.iterdir()} == {"log.jsonl", "agent.jsonl", "agent.1.jsonl"}
    assert [line["number"] for line in kept] == list(range(said - len(kept), said))
    assert COPY_BYTES_MAX // 100_000 < len(kept) < said
    assert newest(copy, 1) == newest(copy, said)[-1:]


def test_a_copy_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    write_json_logs(tmp_path / "log.jsonl", service="agent", copy=tmp_path / "agent.jsonl")
    structlog.get_logger().info("first")
    stream = structlog.get_config()["logger_factory"]._file
    stream._file.close()

    structlog.get_logger().info("second")

    assert [line["event"] for line in lines((tmp_path / "log.jsonl").read_text())] == ["first", "second"]


def test_a_line_is_readable_and_what_is_no_line_stays_as_it_is(tmp_path: Path) -> None:
    write_json_logs(tmp_path / "log.jsonl", service="agent")
    structlog.get_logger().warning("no connection", attempt=2)
    [line] = (tmp_path / "log.jsonl").read_text().splitlines()

    said = readable(line)

    assert said.endswith("warning no connection  attempt=2")
    assert readable("Traceback (most recent call last):") == "Traceback (most recent call last):"


def test_there_are_no_lines_where_nothing_was_written(tmp_path: Path) -> None:
    assert newest(tmp_path / "agent.jsonl", 5) == []
