"""The synthetic head: its mesh, hair, people and scenes."""
