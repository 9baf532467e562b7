"""How a clip is sampled, as data: key steps, and what the steps after them reuse.

A plan knows no network. It is checked when it is made (`rules`), turned into JSON and back (`plan_json`), priced in FLOPs on
tensors without memory (`price`) and run (`sampling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .rules import Cut, Guidance, check_plan


@dataclass(frozen=True)
class Segment:
    """A key step, at which the whole network runs, and the steps right after it, which reuse what it kept.

    key: index of the key step, 0 the noisiest; following: how many steps come after it before the next key step.
    cut: what the following steps evaluate. "head": the last layer on the kept f_U31 (LightningCP); "shallow": the first and the
    last two layers on the kept f_U30 (DeepCache); "decoder": all up blocks on the kept encoder features (FasterDiffusion).
    parallel: the following steps are one batch, or one evaluation after the other.
    guidance, following_guidance: "evaluate" both branches; "reuse" the difference between the branches of the last step that
    evaluated it, c + (s - 1) d; "skip" guidance, c alone. Without guidance at sampling time they make no difference.
    foreground: the following steps attend inside the face only (DFA, paper section 3).
    forecast: 0 holds f_U31; 1 extends the line through the last two key steps.
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
    """A named way to take ``steps`` sampling steps. Raises PlanError, which names the rule, when it is impossible.

    estimate_from: the paper's t_thresh as a step index. Parallel steps from there on take latents rolled forward with the key
    step's noise as input, earlier ones the latents right after the key step; ``steps`` switches the estimation off.
    without_reference: layers that see no reference tokens (paper, section 4).
    exact: conditions are projected once a clip. False is the released code's way, which projects them at every step; the
    pictures are the same to rounding.
    """

    name: str
    steps: int
    segments: tuple[Segment, ...]
    estimate_from: int = 0
    without_reference: tuple[str, ...] = ()
    exact: bool = True

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
        exact: bool = True,
        **segment: Any,
    ) -> Plan:
        """A plan with these key steps and the same settings (fields of `Segment`) for every segment."""
        ends = [*keys[1:], steps]
        segments = tuple(Segment(key, end - key - 1, **segment) for key, end in zip(keys, ends, strict=True))
        return cls(name, steps, segments, estimate_from, tuple(without_reference), exact)

    @property
    def keys(self) -> tuple[int, ...]:
        return tuple(segment.key for segment in self.segments)

    @property
    def reuses(self) -> bool:
        """Whether any step reuses what a key step kept."""
        return any(segment.following for segment in self.segments)

    @property
    def needs_foreground(self) -> bool:
        """Whether the face's token indices must be given."""
        return any(segment.foreground and segment.following for segment in self.segments)

    @property
    def forecasts(self) -> bool:
        return any(segment.forecast and segment.following for segment in self.segments)

    def as_released(self) -> Plan:
        """The same steps at the released code's cost, to compare with published figures."""
        return replace(self, exact=False)

    def on_exact_code(self) -> Plan:
        """The same steps with conditions projected once."""
        return replace(self, exact=True)
