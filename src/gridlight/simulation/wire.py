"""The wire of a run with full nodes: whatever gateways and coordinator say to each other goes through the codec."""

from typing import Final, get_args

from gridlight.messages import codec
from gridlight.messages.codec import Effect, Event

_EVENTS: Final = get_args(codec.GatewayEvent)
_EFFECTS: Final = get_args(codec.GatewayEffect)


def event_off_the_wire(event: Event) -> Event:
    """What the coordinator reads of what a gateway wrote."""
    if not isinstance(event, _EVENTS):
        return event
    (read,) = codec.gateway_events.decode(codec.encode([event]))
    assert read == event, "the codec changed an event"
    return read


def effect_off_the_wire(effect: Effect) -> Effect:
    """What a gateway reads of what the coordinator wrote."""
    if not isinstance(effect, _EFFECTS):
        return effect
    (read,) = codec.gateway_effects.decode(codec.encode([effect]))
    assert read == effect, "the codec changed an effect"
    return read
