"""The only folder that touches the world; a file for each thing outside."""
