"""A package, so that the networks that its tests share end with it and not with the whole run."""
