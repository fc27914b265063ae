"""Speed as ratios: to the bare loop, or to a peer in the same run."""
