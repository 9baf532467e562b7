"""Presets evaluated on videos: speed and fidelity."""
