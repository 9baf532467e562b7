"""Classifier-free guidance, evaluated, reused or left out."""

from __future__ import annotations

from torch import Tensor


def guide(
    predictions: Tensor, steps: int, mode: str, scale: float, difference: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Guided predictions (clips, steps, ...) and the branches' difference (clips, ...) for later steps to reuse.

    predictions: (rows, ...) with the steps of each row next to each other; for mode "evaluate" the unconditional rows, then the
    conditional ones, else the latter alone. mode "reuse" adds the part of the guidance that goes beyond the conditional
    prediction: u + s (c - u) = c + (s - 1) d. mode "skip" takes the conditional prediction as it is.
    """
    if mode == "evaluate":
        unconditional, conditional = (half.unflatten(0, (-1, steps)) for half in predictions.chunk(2))
        apart = conditional - unconditional
        return unconditional + scale * apart, apart[:, -1]
    conditional = predictions.unflatten(0, (-1, steps))
    if mode == "skip":
        return conditional, difference
    if difference is None:
        raise ValueError("guidance can be reused only after a step that evaluated it")
    return conditional + (scale - 1) * difference[:, None], difference
