"""Checkpoints: reading, checking, converting and writing network weights."""
