"""Measurements: speed as ratios, to the bare loop or to a peer in the same run; and how honest results compare."""
