"""Classifier-free guidance: evaluated, reused or skipped."""

from __future__ import annotations

from torch import Tensor


def apply_guidance(
    predictions: Tensor, steps: int, mode: str, scale: float, guidance_delta: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Combine the guidance branches of one evaluation.

    Args:
        predictions: (rows, ...), the steps of each row next to each other. For mode "evaluate" the unconditional
            rows come first; for the other modes there are conditional rows only.
        steps: sampling steps in the evaluation.
        mode: "evaluate" computes u + s (c - u); "reuse" computes c + (s - 1) d with a cached difference d of the
            branches; "skip" returns c.
        scale: guidance scale s.
        guidance_delta: the difference d (B, ...) of an earlier step.

    Returns:
        Guided predictions (B, steps, ...) and the difference (B, ...) that later steps may reuse.
    """
    if mode == "evaluate":
        unconditional, conditional = (half.unflatten(0, (-1, steps)) for half in predictions.chunk(2))
        delta = conditional - unconditional
        return unconditional + scale * delta, delta[:, -1]
    conditional = predictions.unflatten(0, (-1, steps))
    if mode == "skip":
        return conditional, guidance_delta
    if guidance_delta is None:
        raise ValueError("guidance can be reused only after a step that evaluated it")
    return conditional + (scale - 1) * guidance_delta[:, None], guidance_delta
