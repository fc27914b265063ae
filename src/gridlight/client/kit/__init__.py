"""The publisher's kit: a folder becomes a workload that is built, tested, signed and published."""
