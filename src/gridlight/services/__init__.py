"""One folder a process: joins adapters to a machine, decides nothing."""
