"""`gridlight operator`: a key that is made once, told in words, and bound to nodes."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gridlight.adapters.certificates import (
    CERTIFICATE_FILE,
    BadCertificate,
    brought_certificate,
    carried_attestation,
    carried_certificate,
    check_certificate,
)
from gridlight.adapters.clock import wall_ms, wall_s
from gridlight.adapters.node_folder import NODE_KEY_FILE, OPERATOR_KEY_FILE
from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.successions import predecessors, split_carried
from gridlight.cli.main import app
from gridlight.cli.operator import PASSWORD_VARIABLE
from gridlight.client.errors import GridlightError
from gridlight.messages.ids import NodeId


def run(*words: Any, **options: Any) -> str:
    """What was printed; what was refused is raised."""
    ran = CliRunner().invoke(app, ["operator", *map(str, words)], catch_exceptions=False, **options)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_a_key_is_made_once_and_comes_back_from_its_words(tmp_path: Path) -> None:
    key, again = tmp_path / "operator.nk", tmp_path / "again.nk"
    said = run("create", "--key", key)

    run("recover", "--key", again, input=said.splitlines()[-1] + "\n")

    assert key.stat().st_mode & 0o777 == 0o600
    assert again.read_text() == key.read_text()
    assert run("show", "--key", key).strip() in said
    assert key.read_text().strip() not in said
    for words in (("create",), ("recover",)):
        with pytest.raises(GridlightError, match="holds a key already"):
            run(*words, "--key", key, input=said.splitlines()[-1] + "\n")


def test_a_backup_brings_the_key_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, again, file = tmp_path / "operator.nk", tmp_path / "again.nk", tmp_path / "backup.json"
    run("create", "--key", key)
    run("rotate", "--key", key)
    monkeypatch.setenv(PASSWORD_VARIABLE, "correct horse battery")

    run("backup", file, "--key", key)
    run("restore", file, "--key", again)

    assert file.stat().st_mode & 0o777 == 0o600
    assert again.read_text() == key.read_text()
    assert run("show", "--key", again) == run("show", "--key", key)
    assert len(run("show", "--key", again).splitlines()) == 3


def test_nodes_are_bound_here_and_elsewhere(tmp_path: Path) -> None:
    key, folder = tmp_path / "operator.nk", tmp_path / "node"
    run("create", "--key", key)
    node_id = NodeId(SigningKey.load_or_create(folder / NODE_KEY_FILE).public)
    operator, now_ms = run("show", "--key", key).strip(), wall_s() * 1_000

    run("bind", folder, "--key", key)
    printed = run("bind", node_id, "--key", key, "--days", 1).strip()

    carried = carried_certificate(folder, node_id, now_ms=now_ms)
    assert carried is not None
    assert {check_certificate(text, node_id, now_ms=now_ms).operator for text in (carried, printed)} == {operator}
    assert (folder / CERTIFICATE_FILE).stat().st_mode & 0o777 == 0o600


def test_a_certificate_of_the_second_in_which_another_was_revoked_is_a_later_one(tmp_path: Path) -> None:
    """What the network revokes it revokes up to the millisecond of the ruling, as a certificate's serial is one."""
    key = tmp_path / "operator.nk"
    run("create", "--key", key)
    node_id = NodeId(SigningKey.generate().public)

    ruled_ms = wall_ms()
    time.sleep(0.002)
    text = run("bind", node_id, "--key", key).strip()

    assert check_certificate(text, node_id, now_ms=ruled_ms).serial > ruled_ms


def test_a_rotated_key_has_its_own_words_and_the_nodes_follow(tmp_path: Path) -> None:
    key, folder, alone, word = (tmp_path / name for name in ("operator.nk", "node", "alone", "word"))
    said = run("create", "--key", key)
    first, network, now_ms = run("show", "--key", key).strip(), SigningKey.generate().public, wall_s() * 1_000
    issue("init", "--name", "https://issuer.example", data=tmp_path / "issuer")
    word.write_text(issue("attest", first, "--person", "Ada", "--network", network, data=tmp_path / "issuer"))
    for one in (folder, alone):
        SigningKey.load_or_create(one / NODE_KEY_FILE)
    SigningKey.load_or_create(alone / OPERATOR_KEY_FILE)

    rotated = json.loads(run("rotate", folder, "--key", key, "--json"))
    own = run("rotate", alone, "--key", alone / OPERATOR_KEY_FILE)

    run("recover", "--key", tmp_path / "again.nk", input=rotated["phrase"] + "\n")
    assert (tmp_path / "again.nk").read_text() == key.read_text()
    assert said.splitlines()[-1].strip() != rotated["phrase"]
    assert json.loads(run("show", "--key", key, "--json")) == {
        "key": rotated["operator"],
        "operator": first,
        "lineage": [first, rotated["operator"]],
    }
    shown = run("show", "--key", key).splitlines()
    assert (shown[0], shown[-1]) == (rotated["operator"], f"networks know you as {first}")
    assert run("show", "--key", rotated["kept"]).strip() == first, "the old key is kept"
    assert brought(folder, now_ms) == (rotated["operator"], (first,))
    assert f"operator {brought(alone, now_ms)[0]}" in own
    assert not (alone / CERTIFICATE_FILE).exists(), "it goes on signing for itself"
    run("attest", word, folder, "--key", key)  # an issuer's word on the first key is the operator's still
    with pytest.raises(GridlightError, match="less than 14 days ago"):
        run("rotate", folder, "--key", key)
    with pytest.raises(GridlightError, match="no node's folder"):
        run("rotate", tmp_path / "nowhere", "--key", key)
    for node in (folder, NodeId(SigningKey.generate().public)):
        run("bind", node, "--key", key)
    assert brought(folder, now_ms) == (rotated["operator"], (first,))


def brought(folder: Path, now_ms: int) -> tuple[str, tuple[str, ...]]:
    """Whose the node is that has this folder, and under which keys before."""
    node_id = NodeId(SigningKey.load_or_create(folder / NODE_KEY_FILE).public)
    text, successions = split_carried(brought_certificate(folder, node_id, now_ms=now_ms))
    certificate = check_certificate(text, node_id, now_ms=now_ms)
    return certificate.operator, predecessors(certificate, successions)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(GridlightError, match="no key"):
        run("show", "--key", tmp_path / "none.nk")
    run("create", "--key", tmp_path / "operator.nk")
    with pytest.raises(GridlightError, match="is no node"):
        run("bind", tmp_path / "nowhere", "--key", tmp_path / "operator.nk")


def test_an_issuers_word_is_brought_to_nodes_of_the_operator_that_it_is_about(tmp_path: Path) -> None:
    key, other, folder, word = (tmp_path / name for name in ("operator.nk", "other.nk", "node", "word"))
    network = SigningKey.generate().public
    for one in (key, other):
        run("create", "--key", one)
    folder.mkdir()
    made = issue("init", "--name", "https://issuer.example", data=tmp_path / "issuer")
    word.write_text(
        issue(
            "attest",
            run("show", "--key", key).strip(),
            "--person",
            "Ada",
            "--network",
            network,
            data=tmp_path / "issuer",
        )
    )

    assert "level 2; 1 nodes" in run("attest", word, folder, "--key", key)
    assert carried_attestation(folder) == word.read_text().strip()
    assert carried_attestation(tmp_path) is None
    assert 'iss = "https://issuer.example"' in made
    with pytest.raises(GridlightError, match="another operator"):
        run("attest", word, folder, "--key", other)
    with pytest.raises(GridlightError, match="no node's folder"):
        run("attest", word, tmp_path / "nowhere", "--key", key)
    (folder / "attestation").write_bytes(b"\xff")
    with pytest.raises(BadCertificate, match="cannot be read"):
        carried_attestation(folder)
    assert issue("status-list", data=tmp_path / "issuer").strip().endswith("status.jwt")
    with pytest.raises(GridlightError, match="issuer's folder already"):
        issue("init", "--name", "again", data=tmp_path / "issuer")


def issue(*words: str, data: Path) -> str:
    """What `gridlight issuer` printed; what was refused is raised."""
    ran = CliRunner().invoke(app, ["issuer", *words, "--data", str(data)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout
