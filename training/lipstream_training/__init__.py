"""Synthetic talking heads and the training of the bundled model. Not in the wheel."""
