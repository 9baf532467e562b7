"""What a plan costs, counted before it runs: the sampling loop itself, on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .denoiser import ConditionsProtocol, DenoiserProtocol, KeyStepProtocol
from .plan import Plan
from .sampling import sample
from .schedule import Schedule

C = TypeVar("C", bound=ConditionsProtocol)


@dataclass(frozen=True)
class EvaluationCost:
    """One kind of evaluation of a plan: which cut point, for how many rows, how often, and FLOPs of each."""

    name: str
    rows: int
    times: int
    flops: int


@dataclass(frozen=True)
class Price:
    """FLOPs (two for a multiplication and an addition) of a clip's sampling, by kind of evaluation."""

    evaluations: tuple[EvaluationCost, ...]

    @property
    def flops(self) -> int:
        return sum(kind.times * kind.flops for kind in self.evaluations)

    @property
    def tflop(self) -> float:
        return self.flops / 1e12


def price(
    denoiser: DenoiserProtocol[C],
    plan: Plan,
    schedule: Schedule,
    latents: Tensor,
    conditions: C,
    guidance_scale: float,
    foreground: Tensor | None = None,
) -> Price:
    """Arguments as in `sample`, all of them on the device "meta": shapes are followed, nothing is computed.

    Only the denoiser counts; preparing conditions, once a clip, and the scheduler's arithmetic do not, as in the paper.
    """
    if latents.device.type != "meta":
        raise ValueError(f"expected tensors on the device 'meta', got latents on {str(latents.device)!r}")
    meter = _Meter(denoiser)
    sample(meter, plan, schedule, latents, conditions, guidance_scale, foreground)
    return Price(
        tuple(
            EvaluationCost(key[0], key[1], meter.times[key], flops)
            for key, (flops, _) in meter.counted.items()
        )
    )


class _Meter(Generic[C]):
    """A denoiser that counts. Evaluations of the same shapes and conditions cost the same, so each kind runs once."""

    def __init__(self, denoiser: DenoiserProtocol[C]) -> None:
        self.denoiser = denoiser
        self.layer_names: Collection[str] = getattr(denoiser, "layer_names", ())
        self.times: dict[tuple[str, int, int, bool], int] = {}
        self.counted: dict[tuple[str, int, int, bool], tuple[int, Any]] = {}

    def whole(self, z: Tensor, t: Tensor, conditions: C) -> Tensor:
        return self._count("whole", t, conditions, lambda: self.denoiser.whole(z, t, conditions))  # type: ignore[no-any-return]

    def key_step(self, z: Tensor, t: Tensor, conditions: C) -> KeyStepProtocol:
        return self._count("key step", t, conditions, lambda: self.denoiser.key_step(z, t, conditions))  # type: ignore[no-any-return]

    def head(
        self,
        z: Tensor,
        f_u31: Tensor,
        t: Tensor,
        conditions: C,
        foreground: Tensor | None = None,
        background: Any = None,
    ) -> Tensor:
        masked = foreground is not None
        return self._count(  # type: ignore[no-any-return]
            "head inside the face" if masked else "head",
            t,
            conditions,
            lambda: self.denoiser.head(z, f_u31, t, conditions, foreground, background),
            masked,
        )

    def shallow(self, z: Tensor, f_u30: Tensor, t: Tensor, conditions: C) -> Tensor:
        return self._count("shallow", t, conditions, lambda: self.denoiser.shallow(z, f_u30, t, conditions))  # type: ignore[no-any-return]

    def decode(self, encoder: Any, t: Tensor, conditions: C) -> Tensor:
        return self._count("decoder", t, conditions, lambda: self.denoiser.decode(encoder, t, conditions))  # type: ignore[no-any-return]

    def _count(
        self, name: str, t: Tensor, conditions: C, run: Callable[[], Any], masked: bool = False
    ) -> Any:
        key = (name, t.numel(), id(conditions), masked)
        self.times[key] = self.times.get(key, 0) + 1
        if key not in self.counted:
            with FlopCounterMode(display=False) as counter:
                result = run()
            self.counted[key] = (counter.get_total_flops(), result)
        return self.counted[key][1]
