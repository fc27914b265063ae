"""`network.json`: where a network that runs on this machine is reached, and which processes it consists of."""

from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from gridlight.adapters.api_keys import REQUESTER_KEY_FILE, read_key_file
from gridlight.client.errors import BadInput
from gridlight.messages.codec import Decoder, ProtocolViolation
from gridlight.messages.ids import NodeId

NETWORK_FILE = "network.json"
ADMIN_TOKEN_FILE = Path("keys") / "admin.token"
FILE_BYTES_MAX = 16 * 1024 * 1024


class NetworkProcess(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process of the network; `node_id` and `data` are an agent's."""

    role: Literal["nats", "coordinator", "gateway", "agent"]
    pid: int
    node_id: NodeId | None = None
    data: str | None = None


class NetworkFile(Struct, frozen=True, kw_only=True):
    """What `gridlight up` writes when it is ready, and again when it has restarted a process."""

    url: str
    nats_url: str
    processes: list[NetworkProcess]

    def agents(self) -> dict[NodeId, NetworkProcess]:
        """The agents' processes by their node."""
        return {one.node_id: one for one in self.processes if one.role == "agent" and one.node_id is not None}


network_files: Final[Decoder[NetworkFile]] = Decoder(NetworkFile, FILE_BYTES_MAX)


def read_network_file(path: Path) -> NetworkFile:
    """BadInput where it is missing or is not what `gridlight up` writes."""
    hint = "start a network with `gridlight up --data DIR` and name DIR/network.json"
    try:
        return network_files.decode(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot read network file {path}: {error.strerror}", hint) from error
    except ProtocolViolation as violation:
        raise BadInput(f"{path} is not a network file ({violation})", hint) from violation


def read_admin_token(network_file: Path) -> str:
    """The administrator's token, which lies beside the network file; only its owner can read it."""
    path = network_file.parent / ADMIN_TOKEN_FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot read the administrator's token {path} ({error})",
            "run this as the user who started the network: what is asked needs the administrator's token",
        ) from error


def read_requester_key(network_file: Path) -> str | None:
    """The key of the network's own account, which lies beside the network file; None where there is none to read."""
    try:
        return read_key_file(network_file.parent / REQUESTER_KEY_FILE)
    except (OSError, ValueError):
        return None
