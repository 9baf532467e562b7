"""Flow warping of the portrait, and mouth inpainting."""
