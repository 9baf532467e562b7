"""Telling somebody else's server that a clip has ended."""
