"""Rendered and encoded clips on disk, and the batches that are drawn from them."""
