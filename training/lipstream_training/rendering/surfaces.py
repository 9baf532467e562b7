"""Codes of the surfaces that a cell of a rendered frame may show."""

OUTSIDE, FLESH, TEETH = 0, 1, 2
"""Everything that is visible with a closed mouth too; the inside of the mouth without the teeth; the teeth."""
