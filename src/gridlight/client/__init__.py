"""The requester's SDK, sync and async, and the case study that is built on it."""
