"""Which HTTP proxy leads to an address, as the environment says: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""

from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

HERE: Final = ("127.0.0.1", "::1", "localhost")
"""No proxy knows what runs on this machine, whatever the environment says."""

_HTTP_SCHEMES: Final = {"wss": "https", "ws": "http"}


def proxy_for(url: str) -> str | None:
    """The proxy's URL, None where the way is direct. `ws` goes as `http` does and `wss` as `https`.

    Where ALL_PROXY names one for SOCKS, which is not spoken here, the direct way is tried.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in HERE or proxy_bypass(host):
        return None
    proxies = getproxies()
    for_all = proxies.get("all", "")
    own = proxies.get(_HTTP_SCHEMES.get(parts.scheme, parts.scheme))
    return own or (for_all if for_all.startswith("http://") else None)
