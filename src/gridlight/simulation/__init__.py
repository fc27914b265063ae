"""The simulator: the core's other host, which feeds it a whole network in virtual time."""
