"""Where a node's folder is, and what it remembers of its network."""

from pathlib import Path

import pytest

from gridlight.adapters.node_folder import default_folder, keep_network, kept_issuer, kept_network

URL = "https://network.example"


def test_a_node_lives_in_its_user_s_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_folder() == tmp_path / ".local" / "share" / "gridlight" / "node"

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    assert default_folder() == tmp_path / "elsewhere" / "gridlight" / "node"


def test_what_is_kept_of_a_network_is_read_again(tmp_path: Path) -> None:
    keep_network(tmp_path, URL, "An authority, R1")
    assert (kept_network(tmp_path), kept_issuer(tmp_path)) == (URL, "An authority, R1")

    keep_network(tmp_path, URL, None)
    assert (kept_network(tmp_path), kept_issuer(tmp_path)) == (URL, None)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_spoilt_memory_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "network").write_bytes(content)

    assert kept_network(tmp_path) is None


def test_a_folder_that_takes_no_files_forgets(tmp_path: Path) -> None:
    keep_network(tmp_path / "gone", URL, None)

    assert kept_network(tmp_path / "gone") is None
