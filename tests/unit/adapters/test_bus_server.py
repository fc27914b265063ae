"""Which binary is chosen, and which port. The server itself runs in the integration tests."""

import socket
from pathlib import Path

import pytest

from gridlight.adapters import bus_server
from gridlight.adapters.bus_server import ServerNotFound, find_server, free_port, is_free, write_config
from gridlight.adapters.credentials import NetworkKeys


def fake_server(folder: Path, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "nats-server"
    path.write_text(f"#!/bin/sh\necho 'nats-server: {version}'\n")
    path.chmod(0o755)
    return path


def test_the_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = fake_server(tmp_path / "named", "v2.12.3")
    fake_server(tmp_path / "path", "v2.14.0")
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=":")
    monkeypatch.setenv(bus_server.SERVER_VARIABLE, str(named))

    assert find_server() == (named, (2, 12, 3))


def test_the_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = fake_server(tmp_path, "v2.10.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(bus_server.SERVER_VARIABLE, raising=False)

    assert find_server() == (on_path, (2, 10, 0))


@pytest.mark.parametrize("version", ["v2.9.10", "v1.99.0", "nonsense", ""])
def test_an_old_or_odd_server_on_the_path_gives_way_to_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    odd = fake_server(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(bus_server.SERVER_VARIABLE, raising=False)

    found = find_server()

    assert found.path != odd
    assert found.version >= (2, 10, 0)


@pytest.mark.parametrize("text", ["exit 1", "echo nats-server: v2.9.0"])
def test_a_named_server_that_does_not_serve_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    named = fake_server(tmp_path, "")
    named.write_text(f"#!/bin/sh\n{text}\n")
    monkeypatch.setenv(bus_server.SERVER_VARIABLE, str(named))

    with pytest.raises(ServerNotFound, match=bus_server.SERVER_VARIABLE):
        find_server()


def test_a_free_port_is_none_that_the_system_gives_to_clients() -> None:
    port = free_port("127.0.0.1")

    assert 20_000 <= port < 32_000
    assert is_free("127.0.0.1", port)


def test_a_listened_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not is_free("127.0.0.1", listener.getsockname()[1])


def test_the_configuration_is_private_and_holds_no_seed(tmp_path: Path) -> None:
    keys = NetworkKeys.create(tmp_path / "keys")

    path = write_config(tmp_path / 'with "quotes"', keys, host="127.0.0.1", port=4222)

    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.account_public in text
    for seed_file in (tmp_path / "keys").glob("*.nk"):
        assert seed_file.read_text().strip() not in text
