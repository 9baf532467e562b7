"""What a denoiser must offer to be sampled by a plan. Nothing is patched: a network is entered at its cut points."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol, Self, TypeVar

from torch import Tensor


class KeyStepProtocol(Protocol):
    """A whole evaluation with what later steps may reuse. Features have the batch rows as their first dimension."""

    @property
    def prediction(self) -> Tensor: ...

    @property
    def f_u31(self) -> Tensor:
        """Input of the last layer, for the cut "head"."""
        ...

    @property
    def f_u30(self) -> Tensor:
        """Input of the last layer but one, for the cut "shallow"."""
        ...

    @property
    def encoder(self) -> Any:
        """What `DenoiserProtocol.decode` takes, for the cut "decoder"."""
        ...

    @property
    def background(self) -> Any:
        """Attention outputs of the last layer, for steps that attend inside the face only."""
        ...

    def last_rows(self, rows: int) -> Self:
        """The same of the last rows only: of the conditional ones."""
        ...


class ConditionsProtocol(Protocol):
    """Whatever the denoiser is conditioned on. Rows are clips, with guidance unconditional rows first."""

    def conditional(self) -> Self:
        """Without the unconditional rows; asked for by plans that reuse or skip guidance."""
        ...

    def without_reference(self, names: Collection[str]) -> Self:
        """Without reference tokens in these layers; asked for by plans that name some."""
        ...


C = TypeVar("C", bound=ConditionsProtocol, contravariant=True)


class DenoiserProtocol(Protocol[C]):
    """A network with cut points; a plan asks only for those that it uses.

    z: latents (rows, C, frames, h, w), any shape after the rows will do; t: a time step for each row. In parallel prediction rows
    are k times as many as those of kept features and conditions: row r of these then serves rows r*k .. r*k+k-1.
    """

    def whole(self, z: Tensor, t: Tensor, conditions: C) -> Tensor:
        """The plain prediction. All that plans of key steps only need."""
        ...

    def key_step(self, z: Tensor, t: Tensor, conditions: C) -> KeyStepProtocol:
        """The same with what later steps may reuse."""
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
        """Cut "head" (LightningCP): the last layer on a kept f_u31; with ``foreground`` attention among these tokens only."""
        ...

    def shallow(self, z: Tensor, f_u30: Tensor, t: Tensor, conditions: C) -> Tensor:
        """Cut "shallow" (DeepCache): the first layer and the last two on a kept f_u30."""
        ...

    def decode(self, encoder: Any, t: Tensor, conditions: C) -> Tensor:
        """Cut "decoder" (FasterDiffusion): all up blocks on kept encoder features, without new latents."""
        ...
