"""The fleet alone, as tests of who may be in a network need it."""

import msgspec

from gridlight.core.fleet import Fleet, FleetSnapshot


def again(fleet: Fleet) -> Fleet:
    """As after a restart."""
    restored = Fleet()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(fleet.snapshot()), type=FleetSnapshot))
    return restored
