"""The Muon optimiser: momentum that is orthogonalised before it is applied (Jordan et al. 2024).

`torch.optim.Muon` takes two-dimensional weights only. This one also takes convolutions, as matrices of output
channels by everything else; it works on all matrices of one shape at once, which matters for a network of many
small ones; and it computes in float32 where bfloat16 products are slow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import torch
from torch import Tensor

from lipstream_models.device.precision import training_dtype

# Coefficients of the quintic Newton-Schulz iteration that bring singular values near one in five iterations.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MAX_ELEMENTS = 1 << 18  # of the matrices that a CPU processes together: what stays in a core's cache


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more dimensions.

    Updates are scaled to the size of AdamW's, so learning rates are comparable (Liu et al. 2025).

    Args:
        params: The weights.
        lr: Learning rate.
        momentum: Decay of the gradients' moving average.
        weight_decay: Decoupled weight decay.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 1e-2
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all weights that have gradients."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.flatten(1).shape].append(p)
            for shape, params in by_shape.items():
                size = 0.2 * max(shape) ** 0.5
                together = len(params) if params[0].is_cuda else max(1, _MAX_ELEMENTS // shape.numel())
                for start in range(0, len(params), together):
                    part = params[start : start + together]
                    for p, update in zip(part, self._updates(part, group["momentum"]), strict=True):
                        p.mul_(1 - group["lr"] * group["weight_decay"])
                        p.add_(update.view(p.shape), alpha=-group["lr"] * size)

    def _updates(self, params: list[Tensor], momentum: float) -> Tensor:
        """Return the orthogonalised Nesterov momenta (matrices, rows, columns) of weights of one shape."""
        gradients = torch.stack([p.grad.flatten(1) for p in params if p.grad is not None])
        for p, gradient in zip(params, gradients, strict=True):
            average = self.state[p].setdefault("momentum", torch.zeros_like(gradient))
            average.lerp_(gradient, 1 - momentum)
            gradient.lerp_(average, momentum)
        updates: Tensor = orthogonalise(gradients)
        return updates


def orthogonalise(matrices: Tensor) -> Tensor:
    """Return matrices (n, rows, columns) with the same singular vectors and singular values of 0.7 to 1.2."""
    if matrices.shape[1] > matrices.shape[2]:
        transposed: Tensor = orthogonalise(matrices.transpose(1, 2)).transpose(1, 2)
        return transposed
    a, b, c = _COEFFICIENTS
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.to(training_dtype(x.device))
    for _ in range(_ITERATIONS):
        square = x @ x.transpose(1, 2)
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.to(matrices.dtype)


def muon_and_adamw(
    module: torch.nn.Module, learning_rate: float, outer_layers: Collection[str], weight_decay: float
) -> tuple[torch.optim.Optimizer, ...]:
    """Return Muon for the inner matrices and AdamW for everything else.

    Args:
        module: The module to train.
        learning_rate: Learning rate of both optimisers.
        outer_layers: AdamW takes parameters whose names contain one of these, besides norms and biases.
        weight_decay: Weight decay of both optimisers.
    """
    inner: list[Tensor] = []
    rest: list[Tensor] = []
    for name, p in module.named_parameters():
        if p.requires_grad:
            outer = p.ndim < 2 or any(layer in name for layer in outer_layers)
            (rest if outer else inner).append(p)
    return (
        Muon(inner, learning_rate, weight_decay=weight_decay),
        torch.optim.AdamW(rest, learning_rate, betas=(0.9, 0.99), weight_decay=weight_decay),
    )
