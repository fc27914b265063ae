"""The network: how long a message is under way, whether it arrives, and whether it arrives twice.

Reordering follows from delays that differ. Bits come from the caller's keyed draw: 16 for the delay, 16 for loss, 16
for a second copy, and 16 for the second copy's delay.
"""

from typing import Final

from gridlight.core.draw import draw
from gridlight.messages.ids import GatewayId
from gridlight.simulation.distributions import chance, log_normal
from gridlight.simulation.scenario import Links

_LANE: Final = 0xFFFF


class Network:
    """All links of a run."""

    def __init__(self, seed: int, links: Links) -> None:
        self.cut_off: dict[GatewayId, None] = {}
        """Gateways that reach nobody."""
        self._seed = seed
        self._links = links
        self._delay_ms = log_normal(links.delay_ms, links.delay_spread_permille)
        self._is_plain = not links.loss_ppm and not links.duplicate_ppm
        self.is_calm = False
        """No loss and no second copies any more; delays stay."""

    def delays_ms(self, bits: int) -> tuple[int, ...]:
        """After how long each copy of a message arrives; none where it is lost."""
        delay_ms = self._delay_ms[bits & _LANE] or 1
        if self._is_plain or self.is_calm:
            return (delay_ms,)
        if chance(bits >> 16 & _LANE, self._links.loss_ppm):
            return ()
        if chance(bits >> 32 & _LANE, self._links.duplicate_ppm):
            return (delay_ms, self._delay_ms[bits >> 48] or 1)
        return (delay_ms,)

    def ways_ms(self, label: str, *numbers: int) -> tuple[int, ...]:
        """The same for a message that has no draw of its own, named by label and numbers."""
        if self._is_plain and not self._links.delay_spread_permille:
            return (self._links.delay_ms,)
        return self.delays_ms(draw(self._seed, label, *numbers))

    def reaches(self, gateway_id: GatewayId) -> bool:
        """Whether the gateway is connected."""
        return gateway_id not in self.cut_off
