"""What a node's operator accepted, in the node's folder: written by the operator's words, watched by the agent.

A consent is bound to a manifest's digest, and so to all that it asks for; the manifest itself is kept beside it, to
show what another one of that name would change.
"""

from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gridlight.adapters.signatures import write_secret
from gridlight.messages.codec import Decoder, ProtocolViolation, encode
from gridlight.messages.ids import WorkloadId
from gridlight.messages.limits import BATCH_BYTES_MAX, WORKLOADS_PER_OFFER_MAX

CONSENTS_FILE: Final = "consents.json"
STATE_FILE: Final = "workloads.json"
NETWORK_KEY_FILE: Final = "network.key"


class Consent(Struct, frozen=True):
    """One workload that may run here."""

    workload: WorkloadId
    manifest: bytes
    """As it was read and accepted."""


class Consents(Struct, frozen=True):
    """By name; there is at most one digest of a name."""

    accepted: dict[str, Consent] = {}


class LentState(Struct, frozen=True, omit_defaults=True):
    """What the agent does about one workload, for its operator to read."""

    workload: WorkloadId
    state: str
    fetched_bytes: int | None = None


class AgentState(Struct, frozen=True):
    """What the agent that runs here wrote last."""

    lent: list[LentState] = []
    stops: dict[WorkloadId, int] = {}
    """Serials of the orders to stop that it heard of: no older word brings such a workload back."""


class BadConsents(ValueError):
    """A file of the node's folder does not hold what it should."""


_consents: Final[Decoder[Consents]] = Decoder(Consents, BATCH_BYTES_MAX)
_states: Final[Decoder[AgentState]] = Decoder(AgentState, BATCH_BYTES_MAX)


def read_consents(data: Path) -> Consents:
    """What stands; nothing where there is no file. BadConsents."""
    path = data / CONSENTS_FILE
    try:
        return _consents.decode(path.read_bytes())
    except FileNotFoundError:
        return Consents()
    except ProtocolViolation as violation:
        raise BadConsents(f"{path} cannot be read ({violation}); remove it, and accept again") from violation


def accept(data: Path, workload: WorkloadId, manifest: bytes) -> None:
    """From now on this may run here, and no other digest of its name. BadConsents where there are too many."""
    accepted = {**read_consents(data).accepted, workload.partition("@")[0]: Consent(workload, manifest)}
    if len(accepted) >= WORKLOADS_PER_OFFER_MAX:
        raise BadConsents(f"a node accepts at most {WORKLOADS_PER_OFFER_MAX - 1} workloads; revoke one first")
    _write(data / CONSENTS_FILE, Consents(accepted))


def revoke(data: Path, name: str) -> Consent | None:
    """Nothing of this name runs here any more; what was accepted, None where nothing was. BadConsents."""
    accepted = dict(read_consents(data).accepted)
    consent = accepted.pop(name, None)
    if consent is not None:
        _write(data / CONSENTS_FILE, Consents(accepted))
    return consent


def stamp(data: Path) -> tuple[int, int]:
    """Differs when the consents were written again."""
    try:
        status = (data / CONSENTS_FILE).stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)


def read_state(data: Path) -> AgentState:
    """What the agent wrote last; nothing where none ever ran, or what it wrote is not whole."""
    try:
        return _states.decode((data / STATE_FILE).read_bytes())
    except (FileNotFoundError, ProtocolViolation):
        return AgentState()


def write_state(data: Path, lent: list[LentState], stops: dict[WorkloadId, int]) -> None:
    """For the operator's words, and for the agent's next start."""
    _write(data / STATE_FILE, replace(AgentState(), lent=lent, stops=stops))


def pinned_network_key(data: Path, told: str | None) -> str | None:
    """The network's key as the node first heard it: a gateway that names another later is not believed."""
    path = data / NETWORK_KEY_FILE
    if path.exists():
        return path.read_text(encoding="ascii").strip()
    if told is not None:
        write_secret(path, f"{told}\n")
    return told


def _write(path: Path, content: Consents | AgentState) -> None:
    write_secret(path, encode(content).decode("utf-8"))
