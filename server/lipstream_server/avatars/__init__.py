"""Avatars: portraits that came with the engine, and portraits that clients added."""
