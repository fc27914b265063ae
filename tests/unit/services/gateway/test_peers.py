"""Who is believed to be at the other end of a request, and what is made of its address."""

import msgspec
import pytest

from gridlight.messages.nodes import PrefixField
from gridlight.services.gateway.peers import peer_of, prefix_of, read_networks

TRUSTED = read_networks(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("connected", "forwarded", "peer"),
    [
        # Nobody but a trusted proxy is asked about others.
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", [b"198.51.100.1"], "203.0.113.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        ("::ffff:127.0.0.1", [b"198.51.100.1"], "198.51.100.1"),
        # What the peer itself wrote stands before what the proxy added, and is not read.
        ("127.0.0.1", [b"1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", [b"1.2.3.4", b"198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", [b"10.0.0.1, 198.51.100.1"], "198.51.100.1"),
        # Through several proxies of ours.
        ("127.0.0.1", [b"1.2.3.4, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("127.0.0.1", [b"10.1.1.1, 10.9.9.9"], "10.1.1.1"),
        ("2001:db8::1", [b"2a00::1"], "2a00::1"),
        # What cannot be read is nobody, and never the proxy's own address.
        ("127.0.0.1", [b"unknown"], ""),
        ("127.0.0.1", [b"198.51.100.1:4000"], ""),
        ("127.0.0.1", [b"\xff\xfe"], ""),
        ("127.0.0.1", [b"198.51.100.1, "], "198.51.100.1"),
        ("", [b"198.51.100.1"], ""),
    ],
)
def test_a_peer_is_who_the_trusted_proxy_saw(connected: str, forwarded: list[bytes], peer: str) -> None:
    assert peer_of(connected, forwarded, TRUSTED) == peer


def test_a_header_without_end_is_not_followed() -> None:
    chain = b", ".join([b"198.51.100.1", *[b"10.0.0.1"] * 1_000])

    assert peer_of("127.0.0.1", [chain], TRUSTED) == "10.0.0.1"


def test_no_header_is_believed_where_no_proxy_is_trusted() -> None:
    assert peer_of("127.0.0.1", [b"198.51.100.1"], ()) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "prefix"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.0", "203.0.113.0/24"),
        ("203.0.114.1", "203.0.114.0/24"),
        ("127.0.0.1", "127.0.0.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:17:ffff:1::9", "2001:db8:17::/48"),
        ("2001:db8:18::9", "2001:db8:18::/48"),
        ("2001:0DB8:17::A", "2001:db8:17::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("::1", "::/48"),
        ("", ""),
        ("unix:", ""),
        ("/run/gateway.sock", ""),
        ("203.0.113.77:4000", ""),
    ],
)
def test_a_prefix_is_what_one_party_is_likely_to_hold(peer: str, prefix: str) -> None:
    assert prefix_of(peer) == prefix
    assert msgspec.convert(prefix, PrefixField) == prefix
