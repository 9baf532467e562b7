"""Optimisers, workers and resumable training state."""
