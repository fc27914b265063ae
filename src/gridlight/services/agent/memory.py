"""What a node remembers of the network that took it, for its operator's sake: where it is, and who vouches for it."""

from pathlib import Path
from urllib.parse import urlsplit

from gridlight.adapters.node_folder import keep_network, kept_network


def remember(folder: Path, url: str) -> None:
    """Once for each network. Blocking; whatever goes wrong is no reason not to serve."""
    if kept_network(folder) == url:
        return
    issuer = None
    if urlsplit(url).scheme == "https":
        from gridlight.adapters.survey.network import see_certificate

        certificate = see_certificate(url)
        issuer = None if certificate is None else certificate.issuer
    keep_network(folder, url, issuer)
