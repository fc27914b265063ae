"""The agent: runs on an operator's machine, offers slots, acknowledges, runs tasks in workers, and sends results."""
