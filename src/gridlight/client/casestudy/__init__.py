"""The case study: every photo to every node, then ordinary requests, and a report of what was seen."""
