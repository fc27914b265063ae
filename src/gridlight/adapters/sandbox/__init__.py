"""Confined processes that run what others wrote, or read what others sent."""
