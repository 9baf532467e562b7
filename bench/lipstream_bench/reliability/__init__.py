"""Crash tests, soak tests and the API contract."""
