"""Where a network listens, and what nodes elsewhere are told."""

from pathlib import Path

import pytest

from gridlight.adapters.bus_server import free_port
from gridlight.services.addresses import CannotStart, Outside, find_addresses

HTTP = "127.0.0.1:0"


def test_on_one_machine_nodes_are_told_of_both_ports_of_the_bus(tmp_path: Path) -> None:
    at = find_addresses(tmp_path, HTTP, Outside())

    assert at.public_nats_url == at.nats_url == f"nats://127.0.0.1:{at.bus_port}"
    assert at.public_websocket_url == f"ws://127.0.0.1:{at.websocket_port}"
    assert len({at.http_port, at.bus_port, at.websocket_port}) == 3


def test_the_ports_of_the_bus_are_the_same_after_a_restart(tmp_path: Path) -> None:
    before, after = (find_addresses(tmp_path, HTTP, Outside()) for _ in range(2))

    assert (before.bus_port, before.websocket_port) == (after.bus_port, after.websocket_port)


@pytest.mark.parametrize(
    ("public_url", "told"),
    [
        ("https://network.example", "wss://network.example/bus"),
        ("https://network.example/", "wss://network.example/bus"),
        ("https://network.example:8443", "wss://network.example:8443/bus"),
        ("http://gateway.example:8000", "ws://gateway.example:8000/bus"),
    ],
)
def test_from_elsewhere_the_bus_is_reached_through_the_reverse_proxy_alone(
    public_url: str, told: str, tmp_path: Path
) -> None:
    at = find_addresses(tmp_path, HTTP, Outside(public_url=public_url, trusted_proxies=("127.0.0.1",)))

    assert (at.public_nats_url, at.public_websocket_url) == ("", told)
    assert at.url == f"http://127.0.0.1:{at.http_port}"


def test_the_websocket_listens_where_it_is_told_to(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")

    at = find_addresses(tmp_path, HTTP, Outside(websocket=f"0.0.0.0:{port}"))

    assert (at.websocket_host, at.websocket_port) == ("0.0.0.0", port)
    assert at.public_websocket_url == f"ws://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("outside", "words"),
    [
        (Outside(public_url="network.example"), "--public-url 'network.example' should be a URL"),
        (Outside(public_url="ftp://network.example"), "should be a URL"),
        (Outside(public_url="https://network.example/grid"), "without a path"),
        (Outside(public_url="https://network.example"), "needs --trusted-proxy"),
        (Outside(trusted_proxies=("nginx",)), "--trusted-proxy 'nginx'"),
        (Outside(trusted_proxies=("10.0.0.1/8",)), "--trusted-proxy 10.0.0.1/8"),
        (Outside(websocket="8081"), "--websocket '8081' should be HOST:PORT"),
        (Outside(websocket="192.0.2.1:8081"), "cannot listen at --websocket 192.0.2.1:8081"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(outside: Outside, words: str, tmp_path: Path) -> None:
    with pytest.raises(CannotStart) as refused:
        find_addresses(tmp_path, HTTP, outside)

    assert words in str(refused.value)
