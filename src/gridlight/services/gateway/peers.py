"""Who is at the other end of a request: what a trusted reverse proxy says of it, else whoever is connected."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

FORWARDED_HEADER: Final = b"x-forwarded-for"
PROXIES_MAX: Final = 16
_IPV4_PREFIX_BITS: Final = 24
_IPV6_PREFIX_BITS: Final = 48

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def read_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks, written as `127.0.0.1` or `10.0.0.0/8`. ValueError names a bad one."""
    return tuple(ip_network(text) for text in texts)


def peer_of(connected: str, forwarded: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """The address of whoever made the request; empty where it is unknown.

    Anybody can write a header. So it is read from its end, where the proxy that we trust has put whoever was connected
    to it, and no further than to the first address that is not itself a trusted proxy's.
    """
    said = [part.strip() for part in b",".join(forwarded).decode("latin-1").split(",") if part.strip()]
    address = _address(connected)
    for text in reversed(said[-PROXIES_MAX:]):
        if address is None or not any(address in network for network in trusted):
            break
        address = _address(text)
    return "" if address is None else str(address)


def prefix_of(peer: str) -> str:
    """The /24 or /48 around an address: what one party is likely to hold as a whole. Empty where there is none."""
    address = _address(peer)
    if address is None:
        return ""
    if isinstance(address, IPv4Address):
        return str(IPv4Network((int(address), _IPV4_PREFIX_BITS), strict=False))
    return str(IPv6Network((int(address), _IPV6_PREFIX_BITS), strict=False))


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # As a socket for both kinds shows IPv4.
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
