"""Muon: momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024).

torch.optim.Muon is the same for plain matrices; this one also takes convolutions (as matrices of output channels by the rest),
works on all matrices of one shape at once, which matters for a network of many small ones, and computes in float32 where
bfloat16 products are slow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import torch
from torch import Tensor

from lipstream_models.device.precision import training_dtype

# Coefficients of the quintic Newton-Schulz iteration that bring singular values near one in five rounds.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_ELEMENTS = 1 << 18  # of matrices that a CPU works on together: what stays in a core's cache


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions. ``lr`` is comparable to AdamW's (Liu et al. 2025: updates of the same size)."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 1e-2
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.flatten(1).shape].append(p)
            for shape, params in alike.items():
                size = 0.2 * max(shape) ** 0.5
                together = len(params) if params[0].is_cuda else max(1, _ELEMENTS // shape.numel())
                for start in range(0, len(params), together):
                    part = params[start : start + together]
                    for p, update in zip(part, self._updates(part, group["momentum"]), strict=True):
                        p.mul_(1 - group["lr"] * group["weight_decay"])
                        p.add_(update.view(p.shape), alpha=-group["lr"] * size)

    def _updates(self, params: list[Tensor], momentum: float) -> Tensor:
        """(matrices, rows, columns): orthogonal matrices near the Nesterov momenta."""
        gradients = torch.stack([p.grad.flatten(1) for p in params if p.grad is not None])
        for p, gradient in zip(params, gradients, strict=True):
            held = self.state[p].setdefault("momentum", torch.zeros_like(gradient))
            held.lerp_(gradient, 1 - momentum)
            gradient.lerp_(held, momentum)
        updates: Tensor = orthogonal(gradients)
        return updates


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices whose singular values are all about one (0.7 to 1.2): (n, rows, columns) -> the same."""
    if matrices.shape[1] > matrices.shape[2]:
        turned: Tensor = orthogonal(matrices.transpose(1, 2)).transpose(1, 2)
        return turned
    a, b, c = _COEFFICIENTS
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.to(training_dtype(x.device))
    for _ in range(_ROUNDS):
        square = x @ x.transpose(1, 2)
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.to(matrices.dtype)


def muon_and_adamw(
    module: torch.nn.Module, rate: float, outer_layers: Collection[str], weight_decay: float
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside; AdamW for norms, biases and the layers whose names hold one of ``outer_layers``."""
    inner: list[Tensor] = []
    rest: list[Tensor] = []
    for name, p in module.named_parameters():
        if p.requires_grad:
            outer = p.ndim < 2 or any(layer in name for layer in outer_layers)
            (rest if outer else inner).append(p)
    return (
        Muon(inner, rate, weight_decay=weight_decay),
        torch.optim.AdamW(rest, rate, betas=(0.9, 0.99), weight_decay=weight_decay),
    )
