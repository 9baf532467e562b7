"""Presets of sampling: speed and fidelity."""
