"""What nodes run, and the closed first-party lists of how inputs are prepared and results presented."""
