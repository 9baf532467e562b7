"""Rendered and encoded clips, on disk and in batches."""
