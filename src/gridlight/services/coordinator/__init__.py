"""The coordinator: takes what has arrived, lets the core decide, journals it, then performs what follows."""
