"""A node's keys and preferences as a file, and back: never over another node's."""

import fcntl
import json
import stat
from pathlib import Path

import pytest

from gridlight.adapters.signatures import SigningKey
from gridlight.adapters.successions import rotate_key
from gridlight.services.node_backup import CannotBackUp, restore_backup, write_backup

FILES = ("node.nk", "operator.nk", "operator.nk.successions", "endorsement", "preferences.toml")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node's folder."""
    folder = tmp_path / "node"
    SigningKey.load_or_create(folder / "node.nk")
    rotate_key(folder / "operator.nk", now_ms=1_800_000_000_000)
    (folder / "endorsement").write_text("eyJ9.c2ln\n")
    (folder / "preferences.toml").write_text("# für die Nacht 🌙\nstart_hour = 22\nend_hour = 6\n", encoding="utf-8")
    return folder


def test_a_node_comes_back_as_it_was_in_another_folder(node: Path, tmp_path: Path) -> None:
    node_id = write_backup(node, tmp_path / "backup")

    assert restore_backup(tmp_path / "backup", tmp_path / "new") == node_id
    for name in FILES:
        assert (tmp_path / "new" / name).read_bytes() == (node / name).read_bytes()


def test_keys_are_readable_by_nobody_else(node: Path, tmp_path: Path) -> None:
    write_backup(node, tmp_path / "backup")
    restore_backup(tmp_path / "backup", tmp_path / "new")

    for path in (tmp_path / "backup", tmp_path / "new" / "node.nk", tmp_path / "new" / "operator.nk"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_node_without_preferences_has_none_afterwards(node: Path, tmp_path: Path) -> None:
    for name in ("operator.nk.successions", "endorsement", "preferences.toml"):
        (node / name).unlink()
    write_backup(node, tmp_path / "backup")
    restore_backup(tmp_path / "backup", tmp_path / "new")

    assert not (tmp_path / "new" / "preferences.toml").exists()
    assert not (tmp_path / "new" / "endorsement").exists()
    assert not (tmp_path / "new" / "operator.nk.successions").exists()


def test_it_may_be_restored_over_itself(node: Path, tmp_path: Path) -> None:
    node_id = write_backup(node, tmp_path / "backup")
    (node / "preferences.toml").unlink()

    assert restore_backup(tmp_path / "backup", node) == node_id
    assert (node / "preferences.toml").exists()


@pytest.mark.parametrize("name", ["node.nk", "operator.nk"])
@pytest.mark.parametrize("is_readable", [True, False])
def test_another_nodes_key_is_never_overwritten(node: Path, tmp_path: Path, name: str, is_readable: bool) -> None:
    write_backup(node, tmp_path / "backup")
    other = tmp_path / "other" / name
    SigningKey.load_or_create(other)
    if not is_readable:
        other.write_text("SUdamaged")
    before = other.read_bytes()

    with pytest.raises(CannotBackUp, match="is another key, and stays"):
        restore_backup(tmp_path / "backup", tmp_path / "other")

    assert other.read_bytes() == before
    assert sorted(path.name for path in other.parent.iterdir()) == ["lock", name]


def test_nothing_is_restored_under_an_agent_that_runs(node: Path, tmp_path: Path) -> None:
    write_backup(node, tmp_path / "backup")
    with (node / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(CannotBackUp, match="an agent runs"):
            restore_backup(tmp_path / "backup", node)


def test_a_folder_without_a_node_has_no_backup_and_gets_no_key(tmp_path: Path) -> None:
    with pytest.raises(CannotBackUp, match="no node's folder"):
        write_backup(tmp_path, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["junk", "version", "key", "node_id"])
def test_a_file_that_is_no_backup_or_was_changed_is_refused(node: Path, tmp_path: Path, damage: str) -> None:
    write_backup(node, tmp_path / "backup")
    fields = json.loads((tmp_path / "backup").read_text())
    changed = {
        "junk": "junk",
        "version": json.dumps({**fields, "gridlight_node_backup": 2}),
        "key": json.dumps({**fields, "node_seed": fields["node_seed"][:-1] + "?"}),
        "node_id": json.dumps({**fields, "node_seed": SigningKey.generate().seed}),
    }
    (tmp_path / "backup").write_text(changed[damage])

    with pytest.raises(CannotBackUp):
        restore_backup(tmp_path / "backup", tmp_path / "new")
    assert not (tmp_path / "new").exists()
