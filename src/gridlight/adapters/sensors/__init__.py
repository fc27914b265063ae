"""What can be seen of the machine: a file for each thing; each reads from a root folder, so that it can be another."""
