"""Benchmarks of the live server, measured from outside."""
