"""Benchmarks of speed, latency and quality. Not in the wheel."""
