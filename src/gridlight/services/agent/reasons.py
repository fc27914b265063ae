"""What `gridlight node why` asks: the network, in the name of the node whose folder it is, and the folder itself."""

import fcntl
from pathlib import Path
from typing import Final

from gridlight.adapters.signatures import SigningKey
from gridlight.messages.api import WhyResponse
from gridlight.services.agent.gateway_api import GatewayApi

_KEY_FILE: Final = "node.nk"
_LOCK_FILE: Final = "lock"


def ask_why(network_url: str, data: Path) -> WhyResponse:
    """What the network counts for the node. ValueError where the folder is no node's; GatewayUnreachable or
    GatewayRefused where the network gives no answer, or says no.
    """
    if not (data / _KEY_FILE).exists():
        raise ValueError(f"{data} is no node's folder: there is no {_KEY_FILE} in it")
    return GatewayApi(network_url).why(SigningKey.load_or_create(data / _KEY_FILE))


def is_agent_running(data: Path) -> bool:
    """Whether an agent holds the folder now."""
    try:
        with (data / _LOCK_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
