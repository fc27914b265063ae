"""`gridlight network` and `gridlight detect --wait` as processes, against a stand-in gateway."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gridlight.core.draw import draw_keyed, is_within
from gridlight.core.epochs import commitment
from gridlight.messages.api import (
    AuditsResponse,
    CheckView,
    CommitsResponse,
    CommitView,
    EpochsResponse,
    EpochView,
    FaultView,
    NodeResponse,
    RequestView,
    TrustResponse,
)
from gridlight.messages.codec import encode
from gridlight.messages.ids import Blake3Digest, JobId, NodeId, WorkloadId
from gridlight.messages.operators import Hold
from gridlight.messages.reasons import Reason, WorkloadReasons
from gridlight.messages.trust import CheckOutcome, FaultGrade, Role, Tier, Verification
from gridlight.services.gateway.assurances import levels
from gridlight.services.gateway.why import why_response

JOB = JobId("req_" + "0" * 26)
NODE, OTHER = NodeId("U" + "A" * 55), NodeId("U" + "B" * 55)
SECRET = "2b" * 32
CHECK = CheckView(
    check=1,
    commit=2,
    role=Role.AUDIT,
    outcome=CheckOutcome.MISMATCH,
    at_ms=1_795_363_500_000,
    node_id=OTHER,
    primary_id=NODE,
    verification=Verification.CORRECTED,
)
FAULT = FaultView(
    commit=2,
    role=Role.PRIMARY,
    grade=FaultGrade.FALSE,
    said=Blake3Digest("ab" * 32),
    reference=Blake3Digest("cd" * 32),
    at_ms=1_795_363_500_000,
)

BUSY = WorkloadReasons(
    workload=WorkloadId("coco-ssd@sha256:" + "0" * 64),
    since_ms=1_795_363_500_000,
    considered=3,
    reasons={Reason.BUSY: 3},
)
WHY = why_response(NODE, 1_795_363_600_000, (BUSY,))


def gridlight(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridlight", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"COLUMNS": "160", "PATH": ""},
    )


def answering(stand_in: Any, path: str, *bodies: Any) -> None:
    stand_in.answers[path] = [(200, {}, encode(body)) for body in bodies]


def commit(number: int) -> CommitView:
    return CommitView(number, NODE, 300_000, is_within(draw_keyed(bytes.fromhex(SECRET), "audit", number), 300_000))


def test_audits_are_shown_to_who_has_the_networks_folder(stand_in: Any, network_path: Path) -> None:
    answering(stand_in, "/v1/network/audits", AuditsResponse([CHECK]))

    ran = gridlight("network", "audits", "--data", network_path.parent, "--limit", "5", "--node", NODE)

    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()[1:]
    assert line.split() == ["2026-11-22", "16:05:00", "audit", NODE[:9], OTHER[:9], "mismatch", "corrected"]
    (request,) = stand_in.received
    assert request.headers["authorization"] == f"Bearer {stand_in.token}"
    assert request.parameters == {"limit": "5", "node": NODE}


def test_a_network_without_checks_says_so(stand_in: Any) -> None:
    answering(stand_in, "/v1/network/audits", AuditsResponse([]))

    ran = gridlight("network", "audits", "--url", stand_in.url)

    assert ran.stdout == "no answer has been checked yet\n"


def test_a_node_is_shown_with_its_faults_and_checks(stand_in: Any, network_path: Path) -> None:
    view = replace(stand_in.nodes_response().nodes[0], tier=Tier.BANNED, clean_run=1_234, checks_passed=20, faults=1)
    answering(stand_in, f"/v1/nodes/{NODE}", NodeResponse(node=view, faults=[FAULT], checks=[CHECK]))

    ran = gridlight("network", "node", NODE, "--data", network_path.parent)

    assert ran.returncode == 0, ran.stderr
    for words in ("banned", "1,234", "false", "abababababab", "cdcdcdcdcdcd", "panel", "mismatch"):
        assert words in ran.stdout, words


@pytest.mark.parametrize(
    ("hold", "words"),
    [
        (Hold.LEVEL_0, "held in shadow: level 0 attestation"),
        (Hold.STATUS_STALE, "held as it is, since its issuer's status list was not read for an hour"),
        (Hold.STATUS_LOST, "held in shadow: its issuer's status list was not read for a day"),
    ],
)
def test_a_node_that_is_held_is_shown_with_the_reason(stand_in: Any, hold: Hold, words: str) -> None:
    view = replace(stand_in.nodes_response().nodes[0], tier=Tier.SHADOW, hold=hold)
    answering(stand_in, f"/v1/nodes/{NODE}", NodeResponse(node=view))

    ran = gridlight("network", "node", NODE, "--url", stand_in.url)

    assert words in " ".join(ran.stdout.split())


def test_a_node_of_which_nothing_is_known_is_shown_all_the_same(stand_in: Any) -> None:
    answering(stand_in, f"/v1/nodes/{NODE}", NodeResponse(node=stand_in.nodes_response().nodes[0]))

    ran = gridlight("network", "node", NODE, "--url", stand_in.url)

    assert ran.returncode == 0, ran.stderr
    assert "authorization" not in stand_in.received[0].headers


def test_an_administrator_reads_why_a_node_gets_nothing(stand_in: Any, network_path: Path) -> None:
    answering(stand_in, f"/v1/nodes/{NODE}/why", WHY)

    ran = gridlight("network", "why", NODE, "--data", network_path.parent)

    assert ran.returncode == 0, ran.stderr
    assert "3 tasks were given out, 0 of them to this node" in ran.stdout
    assert "All its slots were taken." in ran.stdout
    assert "no agent runs" not in ran.stdout
    assert "authorization" in stand_in.received[0].headers


def test_the_rules_of_trust_are_shown_with_prices_and_errors(stand_in: Any) -> None:
    trust = TrustResponse("production", 0.1, levels(800), {"trusted_after": 800, "are_prefixes_distinct": True})
    answering(stand_in, "/v1/trust", trust)

    ran = gridlight("network", "trust", "--url", stand_in.url)

    assert ran.returncode == 0, ran.stderr
    for words in ("1.12", "9.2e-05", "3.30", "trusted_after = 800", "are_prefixes_distinct = true", "10%"):
        assert words in ran.stdout, words


def test_every_word_of_network_prints_json(stand_in: Any) -> None:
    trust = TrustResponse("production", 0.1, levels(800), {})
    node = NodeResponse(node=stand_in.nodes_response().nodes[0])
    answering(stand_in, "/v1/trust", trust)
    answering(stand_in, f"/v1/nodes/{NODE}", node)
    answering(stand_in, "/v1/network/audits", AuditsResponse([CHECK]))
    answering(stand_in, "/v1/epochs", EpochsResponse([]))
    answering(stand_in, f"/v1/nodes/{NODE}/why", WHY)

    def printed(*words: str) -> Any:
        return json.loads(gridlight("network", *words, "--url", stand_in.url, "--json").stdout)

    assert printed("why", NODE)["considered"] == 3
    assert printed("trust")["levels"][3]["verify"] == "arbitrated"
    assert printed("node", NODE)["node"]["node_id"] == NODE
    assert printed("audits")["audits"][0]["outcome"] == "mismatch"
    assert printed("recompute") == []


def revealing(stand_in: Any, commits: list[CommitView]) -> None:
    """Two epochs; the older one's secret is revealed, and its commits come in two pages."""
    epochs = [
        EpochView(epoch=6, commitment=commitment("3c" * 32)),
        EpochView(epoch=5, commitment=commitment(SECRET), secret=SECRET),
    ]
    answering(stand_in, "/v1/epochs", EpochsResponse(epochs))
    first = CommitsResponse(5, commits[:30], next_after=commits[29].commit)
    answering(stand_in, "/v1/epochs/5/commits", first, CommitsResponse(5, commits[30:]))


def test_audits_that_were_as_drawn_are_confirmed(stand_in: Any) -> None:
    commits = [commit(number) for number in range(1, 51)]
    revealing(stand_in, commits)

    ran = gridlight("network", "recompute", "--url", stand_in.url)

    assert ran.returncode == 0, ran.stderr
    audited = sum(one.is_audited for one in commits)
    assert ran.stdout == f"epoch 5: 50 answers, {audited} audited: as drawn\n"
    assert [one.parameters["after"] for one in stand_in.received[1:]] == ["0", "30"]


def test_an_audit_that_was_kept_back_is_found_out(stand_in: Any) -> None:
    commits = [commit(number) for number in range(1, 51)]
    row = next(row for row, one in enumerate(commits) if one.is_audited)
    commits[row] = replace(commits[row], is_audited=False)
    revealing(stand_in, commits)

    ran = gridlight("network", "recompute", "--url", stand_in.url, "--epoch", "5")

    assert ran.returncode == 1
    assert f"commit {row + 1}: had to be audited and was not" in ran.stdout
    assert ran.stderr == ""


def test_an_epoch_that_is_not_revealed_cannot_be_drawn_again(stand_in: Any) -> None:
    revealing(stand_in, [commit(number) for number in range(1, 51)])

    ran = gridlight("network", "recompute", "--url", stand_in.url, "--epoch", "6")

    assert ran.returncode == 1
    assert ran.stderr == "gridlight: the secret of epoch 6 is not revealed (the newest that is revealed is 5)\n"


def test_pages_that_do_not_end_are_not_read_for_ever(stand_in: Any) -> None:
    revealing(stand_in, [commit(number) for number in range(1, 51)])
    answering(stand_in, "/v1/epochs/5/commits", CommitsResponse(5, [commit(1)], next_after=1))

    ran = gridlight("network", "recompute", "--url", stand_in.url)

    assert ran.returncode == 1
    assert "do not end" in ran.stderr


def test_a_folder_that_is_no_networks_is_named(tmp_path: Path) -> None:
    ran = gridlight("network", "audits", "--data", tmp_path)

    assert ran.returncode == 1
    assert str(tmp_path) in ran.stderr
    assert ran.stderr.count("\n") == 1


def becoming(stand_in: Any, make_response: Any, *verifications: Verification) -> None:
    """An answer that is provisional at first; a correction finds the person alone."""
    served = make_response(verification=Verification.PROVISIONAL)
    stand_in.answers["/v1/detect"] = (200, {}, encode(served))
    views = []
    for verification in verifications:
        result = replace(served, verification=verification)
        is_corrected = verification is Verification.CORRECTED
        if is_corrected:
            result = replace(result, detections=result.detections[1:], node_id=None)
        views.append(RequestView(JOB, "done", verification, result=result, served=served if is_corrected else None))
    answering(stand_in, f"/v1/requests/{JOB}", *views)


def test_detect_shows_an_answer_become_final(stand_in: Any, photo_path: Path, make_response: Any) -> None:
    becoming(stand_in, make_response, Verification.PROVISIONAL, Verification.FINAL)

    ran = gridlight("detect", photo_path, "--url", stand_in.url, "--verify", "audited", "--wait")

    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[1].startswith("bus")
    assert "provisional" in lines[3]
    assert [line.split(": ")[1].split(",")[0] for line in lines if line.startswith("after ")] == [
        "provisional",
        "final",
    ]
    assert stand_in.received[0].parameters == {"verify": "audited"}


def test_detect_shows_the_boxes_again_where_they_were_corrected(
    stand_in: Any, photo_path: Path, make_response: Any, tmp_path: Path
) -> None:
    becoming(stand_in, make_response, Verification.DISPUTED, Verification.CORRECTED)
    drawing = tmp_path / "boxes.png"

    ran = gridlight("detect", photo_path, "--url", stand_in.url, "--wait", "--save", drawing)

    before, _, after = ran.stdout.partition("disputed")
    assert "bus" in before
    assert "corrected" in after
    assert "person" in after
    assert "bus" not in after
    assert drawing.read_bytes().startswith(b"\x89PNG")


def test_detect_with_json_prints_one_document_and_the_rest_to_stderr(
    stand_in: Any, photo_path: Path, make_response: Any
) -> None:
    becoming(stand_in, make_response, Verification.PROVISIONAL, Verification.CORRECTED)

    ran = gridlight("detect", photo_path, "--url", stand_in.url, "--wait", "--json")

    document = json.loads(ran.stdout)
    assert document["verification"] == "corrected"
    assert [len(document[name]["detections"]) for name in ("result", "served")] == [1, 2]
    assert "provisional" in ran.stderr


def test_detect_says_how_the_answer_stands_when_the_wait_was_too_short(
    stand_in: Any, photo_path: Path, make_response: Any
) -> None:
    becoming(stand_in, make_response, Verification.PROVISIONAL)

    ran = gridlight("detect", photo_path, "--url", stand_in.url, "--wait", "--wait-s", "0.2", "--json")

    assert ran.returncode == 1
    assert json.loads(ran.stdout)["verification"] == "provisional"
    assert f"request {JOB} is still provisional after 0.2 s" in ran.stderr
