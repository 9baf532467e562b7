"""Metrics, logs, traces, and the state of a shutdown."""
