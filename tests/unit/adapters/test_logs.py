"""Logs of services: one JSON object a line, whatever is said, and never half a line."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gridlight.adapters.logs import write_json_logs


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """Configuring is for a whole process; other tests are in it too."""
    yield
    if structlog.is_configured():
        end_process()


def end_process() -> None:
    """What the end of a process does to its log."""
    stream = structlog.get_config()["logger_factory"]._file
    if stream is not sys.stderr:
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
