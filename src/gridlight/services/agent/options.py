"""What an agent is told when it is started: where it belongs, and how it may use the machine."""

from pathlib import Path

from msgspec import Struct

from gridlight.adapters.sandbox.engines import EngineChoice
from gridlight.core.preferences import GENTLE, Preferences
from gridlight.messages.limits import SLOTS_PER_OFFER_MAX


class AgentOptions(Struct, frozen=True, kw_only=True):
    """One node."""

    network_url: str
    data: Path
    """The node's folder."""
    slots: int = SLOTS_PER_OFFER_MAX
    """Tasks to run at once, at most; preferences may allow fewer."""
    endorsement_file: Path | None = None
    """The network's word on this node; the folder's own, if left out."""
    own_bus_url: str | None = None
    """Stands for whatever the network says of its bus."""
    engine: EngineChoice = "auto"
    defaults: Preferences = GENTLE
    """What holds where the folder's preferences say nothing."""
