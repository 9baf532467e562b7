"""The synthetic head and its renderer."""
