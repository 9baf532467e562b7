"""Sampling plans: key steps, and the features that the steps after them reuse, as data.

A plan does not depend on a network. It is validated on creation (`rules`), serialised (`plan_json`), printed
(`plan_text`), priced in FLOPs on meta tensors (`price`) and executed (`sampling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .rules import Cut, Guidance, check_plan


@dataclass(frozen=True)
class Segment:
    """A key step, at which the full network runs, and the following steps, which reuse its features.

    Attributes:
        key: index of the key step; 0 is the noisiest step.
        following: number of steps between this key step and the next one.
        cut: part of the network that the following steps evaluate. "head": the last layer on the cached f_U31
            (LightningCP); "shallow": the first layer and the last two on the cached f_U30 (DeepCache); "decoder":
            all up blocks on the cached encoder features (FasterDiffusion).
        parallel: whether the following steps run in one batch or one after the other.
        guidance: guidance at the key step. "evaluate": both branches run; "reuse": c + (s - 1) d with the
            difference d of the last step that evaluated it; "skip": c alone. Ignored when guidance is off.
        following_guidance: guidance at the following steps, with the same values.
        foreground: whether the following steps attend inside the face only (DFA, LightningCP section 3).
        forecast: 0 reuses f_U31 as it is; 1 extrapolates it linearly from the last two key steps.
    """

    key: int
    following: int = 0
    cut: Cut = "head"
    parallel: bool = True
    guidance: Guidance = "evaluate"
    following_guidance: Guidance = "evaluate"
    foreground: bool = False
    forecast: int = 0

    @property
    def steps(self) -> range:
        """Indices of the following steps."""
        return range(self.key + 1, self.key + 1 + self.following)


@dataclass(frozen=True)
class Plan:
    """A named list of segments for ``steps`` sampling steps.

    Creating an invalid plan raises PlanError with the name of the broken rule.

    Attributes:
        estimate_from: the t_thresh of LightningCP as a step index. Parallel steps from this index on take latents
            that are rolled forward with the key step's noise; earlier ones take the latents after the key step.
            ``steps`` switches the estimation off.
        without_reference: names of layers without reference tokens (LightningCP section 4).
        project_once: whether conditions are projected once for each window. The released code of Hallo projects
            them at every step; the frames are equal up to rounding.
    """

    name: str
    steps: int
    segments: tuple[Segment, ...]
    estimate_from: int = 0
    without_reference: tuple[str, ...] = ()
    project_once: bool = True

    def __post_init__(self) -> None:
        check_plan(self)

    @classmethod
    def from_keys(
        cls,
        name: str,
        steps: int,
        keys: Sequence[int],
        *,
        estimate_from: int = 0,
        without_reference: Sequence[str] = (),
        project_once: bool = True,
        **segment: Any,
    ) -> Plan:
        """Return a plan with these key steps; ``segment`` sets fields of every `Segment`."""
        ends = [*keys[1:], steps]
        segments = tuple(Segment(key, end - key - 1, **segment) for key, end in zip(keys, ends, strict=True))
        return cls(name, steps, segments, estimate_from, tuple(without_reference), project_once)

    @property
    def keys(self) -> tuple[int, ...]:
        """Indices of the key steps."""
        return tuple(segment.key for segment in self.segments)

    @property
    def reuses(self) -> bool:
        """Whether any step reuses features of a key step."""
        return any(segment.following for segment in self.segments)

    @property
    def needs_foreground(self) -> bool:
        """Whether sampling needs the token indices of the face."""
        return any(segment.foreground and segment.following for segment in self.segments)

    @property
    def forecasts(self) -> bool:
        """Whether any step extrapolates f_U31."""
        return any(segment.forecast and segment.following for segment in self.segments)

    def as_released(self) -> Plan:
        """Return the same steps at the cost of the released code, for comparison with published figures."""
        return replace(self, project_once=False)

    def with_conditions_projected_once(self) -> Plan:
        """Return the same steps with conditions projected once."""
        return replace(self, project_once=True)
