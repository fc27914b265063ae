"""Gridlight: an open network on which volunteers' idle computers do AI work for strangers."""
