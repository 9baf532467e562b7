"""Evaluation of presets on videos: speed and fidelity."""
