"""Measurements of the live server by the real client."""
