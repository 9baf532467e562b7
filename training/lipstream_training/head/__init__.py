"""The synthetic head: its mesh, its people and scenes, and the OpenGL renderer."""
