"""Crashes, soaks and the API contract."""
