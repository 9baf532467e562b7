"""Interface of a denoiser that can be sampled by a plan.

A network is entered at its cut points; no layer is patched from outside. `f_u31` and `f_u30` are the inputs of
the last layer (U_32) and of the layer before it (U_31), in the notation of LightningCP.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol, Self, TypeVar

from torch import Tensor


class KeyStepProtocol(Protocol):
    """Result of a full evaluation: the prediction, and features that later steps may reuse.

    The first dimension of every feature is the batch row.
    """

    @property
    def prediction(self) -> Tensor:
        """Prediction (rows, C, frames, h, w)."""
        ...

    @property
    def f_u31(self) -> Tensor:
        """Input of the last layer (rows, ...), for the cut "head"."""
        ...

    @property
    def f_u30(self) -> Tensor:
        """Input of the last layer but one (rows, ...), for the cut "shallow"."""
        ...

    @property
    def encoder(self) -> Any:
        """Argument of `DenoiserProtocol.decode`, for the cut "decoder"."""
        ...

    @property
    def background(self) -> Any:
        """Attention outputs of the last layer, for steps that attend inside the face only."""
        ...

    def last_rows(self, rows: int) -> Self:
        """Return the same result for the last ``rows`` batch rows (the conditional ones)."""
        ...


class ConditionsProtocol(Protocol):
    """Conditions of a batch. With guidance, the unconditional rows come first."""

    def conditional(self) -> Self:
        """Return the conditional rows only. Called for plans that reuse or skip guidance."""
        ...

    def without_reference(self, names: Collection[str]) -> Self:
        """Return conditions without reference tokens in these layers. Called for plans that name such layers."""
        ...


C = TypeVar("C", bound=ConditionsProtocol, contravariant=True)


class DenoiserProtocol(Protocol[C]):
    """A network with cut points. A plan calls only the methods of the cuts that it uses.

    Shapes: latents z are (rows, C, frames, h, w) (any shape after the rows works); timesteps t are (rows,). In
    parallel prediction z has k times as many rows as the cached features and the conditions: row r of these then
    serves rows r*k .. r*k+k-1 of z. Every prediction has the shape of z.
    """

    def whole(self, z: Tensor, t: Tensor, conditions: C) -> Tensor:
        """Return the prediction of the full network. The only method needed by plans without reuse."""
        ...

    def key_step(self, z: Tensor, t: Tensor, conditions: C) -> KeyStepProtocol:
        """Return the prediction of the full network together with its reusable features."""
        ...

    def head(
        self,
        z: Tensor,
        f_u31: Tensor,
        t: Tensor,
        conditions: C,
        foreground: Tensor | None = None,
        background: Any = None,
    ) -> Tensor:
        """Evaluate the last layer on a cached f_u31 (cut "head", LightningCP).

        With ``foreground`` (L,) token indices, attention runs among these tokens only, and the others take the
        outputs in ``background``.
        """
        ...

    def shallow(self, z: Tensor, f_u30: Tensor, t: Tensor, conditions: C) -> Tensor:
        """Evaluate the first layer and the last two on a cached f_u30 (cut "shallow", DeepCache)."""
        ...

    def decode(self, encoder: Any, t: Tensor, conditions: C) -> Tensor:
        """Evaluate all decoder blocks on cached encoder features, without latents (cut "decoder", FasterDiffusion)."""
        ...
