"""Portrait in: image file, landmarks, crop, masks, and all of it as one value."""
