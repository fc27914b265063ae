"""API keys: their form, what is kept of them, and where the one of a network on this machine is found."""

from pathlib import Path

import pytest

from gridlight.adapters.api_keys import (
    API_KEY_VARIABLE,
    announce_key,
    find_api_key,
    new_account_id,
    new_api_key,
    read_api_key,
    withdraw_key,
)
from gridlight.messages.accounts import account_id

URL = "http://127.0.0.1:18601"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)


def test_a_key_is_read_as_it_was_made_and_shows_no_secret() -> None:
    key = new_api_key()

    assert read_api_key(key.text) == key
    assert key.secret not in repr(key)
    assert key.secret not in key.digest
    assert len({new_api_key().text for _ in range(100)}) == 100
    assert account_id(new_account_id()) is not None


def test_what_is_no_key_is_none() -> None:
    text = new_api_key().text

    for wrong in ("", "gl_", text[:-1], text + "a", text.upper(), text[1:], text.replace("_", "-"), "gl_" + "é" * 45):
        assert read_api_key(wrong) is None


def test_the_key_of_a_network_here_is_found_by_its_address_alone(tmp_path: Path) -> None:
    file = tmp_path / "requester.key"
    file.write_text("gl_key\n")
    announce_key(URL, file)

    assert find_api_key(URL) == "gl_key"
    assert find_api_key("http://localhost:18601/") == "gl_key"
    assert find_api_key("http://127.0.0.1:18602") is None
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "state").rglob("*_18601")] == [0o600]
    file.unlink()
    assert find_api_key(URL) is None
    withdraw_key(URL)
    assert not list((tmp_path / "state").rglob("*_18601"))


def test_the_environment_goes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("gl_here\n")
    announce_key(URL, tmp_path / "key")
    monkeypatch.setenv(API_KEY_VARIABLE, "gl_said")

    assert find_api_key(URL) == "gl_said"


@pytest.mark.parametrize("url", ["http://grid.example:18601", "https://127.0.0.1:18601"])
def test_a_key_of_this_machine_is_sent_nowhere_else(url: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("gl_here\n")
    announce_key(url, tmp_path / "key")
    withdraw_key(url)

    assert find_api_key(url) is None
    assert not (tmp_path / "state").exists()


def test_a_folder_that_takes_no_files_keeps_no_network_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    announce_key(URL, tmp_path / "key")
    withdraw_key(URL)

    assert find_api_key(URL) is None
