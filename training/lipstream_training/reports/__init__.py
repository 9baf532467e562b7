"""Images and tables for looking at the training data."""
