"""Faces: those that came with the engine and those that clients brought."""
