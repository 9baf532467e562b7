"""Sampling settings of a stream: preset or custom plan, steps, guidance scale and seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lipstream_accel.plan import Plan
from lipstream_accel.plan_json import plan_from_json
from lipstream_accel.presets import preset

from .errors import LipstreamError
from .model import Model


class SamplingError(LipstreamError):
    """A sampling setting is out of range, or a plan cannot be read."""


@dataclass(frozen=True)
class Sampling:
    """How a stream is denoised.

    Attributes:
        preset: name of a preset, or of the custom plan.
        steps: number of sampling steps.
        guidance: guidance scale; 1 or less switches guidance off.
        seed: seed of the noise of every window.
        custom_plan: a plan that is not a preset, with the same name and number of steps.
    """

    preset: str = "exact"
    steps: int = 20
    guidance: float = 2.0
    seed: int = 0
    custom_plan: Plan | None = None

    @classmethod
    def for_model(
        cls,
        model: Model,
        preset: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
    ) -> Sampling:
        """Return sampling settings, with the model's defaults for omitted values.

        ``preset`` is a name or the path of a plan's JSON file (`lipstream tune`). Raises SamplingError.
        """
        preset = preset or model.defaults.preset
        custom_plan = read_plan(Path(preset)) if preset.endswith(".json") else None
        guidance = model.defaults.guidance if guidance is None else guidance
        if custom_plan is None:
            steps = model.defaults.steps_for(preset) if steps is None else steps
            return cls(preset, steps, guidance, seed)
        if steps not in (None, custom_plan.steps):
            raise SamplingError(
                f"{preset} is a plan of {custom_plan.steps} steps; leave --steps out, got {steps}"
            )
        return cls(custom_plan.name, custom_plan.steps, guidance, seed, custom_plan)

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise SamplingError(f"steps must be between 1 and 1000, got {self.steps}")
        if not 0 <= self.guidance <= 30:
            raise SamplingError(f"guidance must be between 0 and 30, got {self.guidance}")
        if not 0 <= self.seed < 2**63:
            raise SamplingError(f"seed must be between 0 and 2**63 - 1, got {self.seed}")

    def plan(self) -> Plan:
        """Return the plan. Raises SamplingError for an unknown preset."""
        if self.custom_plan is not None:
            return self.custom_plan
        try:
            return preset(self.preset, self.steps)
        except ValueError as error:
            raise SamplingError(str(error)) from error


def read_plan(path: Path) -> Plan:
    """Read a plan's JSON file. Raises SamplingError if it is invalid, OSError if there is no file."""
    try:
        return plan_from_json(path.read_text())
    except ValueError as error:
        raise SamplingError(f"{path}: {error}") from error
