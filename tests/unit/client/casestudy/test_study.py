"""A whole case study against a stand-in gateway, and what casestudy.json holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from gridlight.client.casestudy import study as module
from gridlight.client.casestudy.findings import UNANSWERED
from gridlight.client.casestudy.study import Plan, read_photos, run_case_study, write_json
from gridlight.client.errors import AnswerUnreadable, BadInput


@pytest.fixture
def plan(network_path: Path, photo_path: Path) -> Plan:
    return Plan(photos=(photo_path,), network=network_path, requests=20, concurrency=4, kill=False)


def ignore(stage: str, done: int, total: int) -> None:
    assert 0 <= done <= total
    assert stage


def test_every_photo_goes_to_each_node_once_and_the_rest_to_anyone(stand_in: Any, plan: Plan) -> None:
    outcome = run_case_study(plan, ignore)

    detections = [one for one in stand_in.received if one.path == "/v1/detect"]
    pinned = [one.headers["x-gridlight-node"] for one in detections if "x-gridlight-node" in one.headers]
    assert sorted(pinned) == sorted(stand_in.nodes)
    assert len(detections) == 7 + 20
    assert outcome.study.requests.sent == outcome.study.requests.answered == 20
    assert [node.answered for node in outcome.study.nodes] == [node.tasks for node in outcome.study.nodes]
    assert all(claim.held for claim in outcome.study.claims)


def test_the_token_goes_with_pinned_tasks_only(stand_in: Any, plan: Plan) -> None:
    run_case_study(plan, ignore)

    for one in stand_in.received:
        assert ("authorization" in one.headers) == ("x-gridlight-node" in one.headers)


def test_the_file_has_the_fields_that_are_promised(plan: Plan, stand_in: Any, tmp_path: Path) -> None:
    study = json.loads(write_json(run_case_study(plan, ignore).study, tmp_path / "out").read_bytes())

    assert set(study) >= {"nodes", "requests", "photos", "claims", "environment"}
    node = study["nodes"][0]
    assert set(node) == {"node_id", "tasks", "answered", "ack_ms", "result_ms"}
    assert set(node["ack_ms"]) == set(node["result_ms"]) == {"p50", "p95", "max"}
    assert set(study["requests"]) >= {"sent", "answered", "refused", "deadline_exceeded", "hedged", "latency_ms"}
    assert set(study["requests"]["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert study["photos"][0]["file"] == "bus.jpg"
    assert study["photos"][0]["detections"][0]["bbox"] == [4, 40, 300, 180]
    assert study["photos"][0]["detections"][0]["class"] == "bus"
    assert set(study["claims"][0]) >= {"claim", "measured", "held"}
    assert set(study["environment"]) >= {"cores", "load_start", "load_end", "versions", "commit"}
    assert study["environment"]["versions"]["python"]


def test_refusals_and_silence_are_findings_not_errors(stand_in: Any, plan: Plan, refusal: Any) -> None:
    stand_in.answers["/v1/detect"] = refusal(503, "BUSY")

    study = run_case_study(plan, ignore).study

    assert (study.requests.answered, study.requests.refused) == (0, 20)
    assert [node.answered for node in study.nodes] == [0] * 7
    assert study.model is None


def test_a_gateway_that_dies_midway_is_a_finding(stand_in: Any, plan: Plan) -> None:
    def close_on_first_request(stage: str, done: int, total: int) -> None:
        if stage == "ordinary requests" and done == 1:
            stand_in.answers["/v1/detect"] = None

    study = run_case_study(plan, close_on_first_request).study

    assert study.requests.codes[UNANSWERED] == study.requests.unanswered > 0


def test_an_answer_of_someone_else_ends_it(stand_in: Any, plan: Plan) -> None:
    stand_in.answers["/v1/detect"] = (200, {}, b"hello")

    with pytest.raises(AnswerUnreadable):
        run_case_study(plan, ignore)


def test_it_waits_for_nodes_only_so_long(stand_in: Any, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ONLINE_WAIT_S", 0.0)
    stand_in.nodes = []

    with pytest.raises(BadInput, match="no node is online"):
        run_case_study(plan, ignore)


def test_photos_of_the_same_name_are_told_apart_by_their_folders(photo_path: Path, tmp_path: Path) -> None:
    twin = tmp_path / "other" / photo_path.name
    twin.parent.mkdir()
    twin.write_bytes(b"other")

    assert list(read_photos([photo_path])) == ["bus.jpg"]
    assert list(read_photos([photo_path, twin])) == [str(photo_path), str(twin)]


def test_without_photos_there_is_no_case_study() -> None:
    with pytest.raises(BadInput, match="no photo"):
        read_photos([])
