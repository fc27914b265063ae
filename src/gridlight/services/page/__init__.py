"""The local page: shows an operator the own node in a browser, on this machine alone."""
