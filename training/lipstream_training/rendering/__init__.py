"""The OpenGL renderer of synthetic heads."""
