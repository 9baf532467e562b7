"""Drawing motion onto the portrait: flow warping and mouth inpainting."""
