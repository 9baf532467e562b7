"""The sampling loop and its arithmetic: what diffusers does, as a pure function."""

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lipstream_accel.plan import PRESETS, preset
from lipstream_accel.sampling import sample
from lipstream_accel.schedule import DDIMSchedule
from lipstream_models.config import SchedulerConfig
from lipstream_models.scheduler import alphas_cumprod, ddim_schedule


class Contraction:
    """A denoiser whose prediction depends on the row, the time and the latents; remembers what it was asked."""

    def __init__(self) -> None:
        self.timesteps: list[int] = []

    def whole(self, latents: Tensor, timestep: Tensor, conditions: Tensor) -> Tensor:
        self.timesteps.append(int(timestep[0]))
        return (
            0.3 * latents + conditions[:, None, None, None, None] + timestep[:, None, None, None, None] / 1000
        )


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 200))
def test_schedule_is_that_of_diffusers(steps: int) -> None:
    config = SchedulerConfig()
    reference = DDIMScheduler(**config.to_dict())
    reference.set_timesteps(steps)
    schedule = ddim_schedule(config, steps)
    # For some numbers of steps (61, for one) diffusers rounds its way to one more, at timestep -1.
    assert list(schedule.timesteps) == reference.timesteps.tolist()[:steps]
    latents = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(steps))
    prediction = latents.flip(-1)
    for index in {0, steps // 2, steps - 1}:
        expected = reference.step(prediction, reference.timesteps[index], latents).prev_sample
        assert torch.allclose(schedule.step(index, latents, prediction), expected, atol=1e-5)


def test_clean_latents_and_noise_come_back_out_of_a_v_prediction() -> None:
    schedule = ddim_schedule(SchedulerConfig(), 10)
    clean, noise = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    for index, alpha in enumerate(schedule.alphas):
        latents = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
        v = alpha**0.5 * noise - (1 - alpha) ** 0.5 * clean
        found = schedule.clean_and_noise(index, latents, v)
        assert torch.allclose(torch.stack(found), torch.stack((clean, noise)), atol=1e-6)


def test_terminal_signal_is_zero() -> None:
    assert float(alphas_cumprod()[-1]) == 0.0


def test_sampling_is_pure_and_visits_every_step() -> None:
    schedule = ddim_schedule(SchedulerConfig(), 8)
    latents = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    before = latents.clone()
    denoiser = Contraction()
    conditions = torch.tensor([0.1, -0.2])
    first = sample(denoiser, preset("base", 8), schedule, latents, conditions, 1.0)
    second = sample(denoiser, preset("base", 8), schedule, latents, conditions, 1.0)
    assert torch.equal(first, second)
    assert torch.equal(latents, before)
    assert denoiser.timesteps == [*schedule.timesteps, *schedule.timesteps]


def test_guidance_is_a_line_through_both_predictions() -> None:
    """With a denoiser that is linear in its condition, guidance s equals plain sampling at u + s (c - u)."""
    schedule = ddim_schedule(SchedulerConfig(), 6)
    latents = torch.randn(1, 3, 4, 2, 2, generator=torch.Generator().manual_seed(2))
    plan = preset("base", 6)
    guided = sample(Contraction(), plan, schedule, latents, torch.tensor([0.1, 0.4]), 3.0)
    plain = sample(Contraction(), plan, schedule, latents, torch.tensor([0.1 + 3.0 * 0.3]), 1.0)
    assert torch.allclose(guided, plain, atol=1e-5)


def test_impossible_requests_name_the_rule() -> None:
    with pytest.raises(ValueError, match="between 1 and 1000, got 0"):
        DDIMSchedule.trailing(alphas_cumprod().tolist(), 0)
    with pytest.raises(ValueError, match="unknown preset 'warp': expected one of base"):
        preset("warp", 4)
    with pytest.raises(ValueError, match="has 5 steps, its schedule 4"):
        schedule = ddim_schedule(SchedulerConfig(), 4)
        sample(Contraction(), preset("base", 5), schedule, torch.zeros(1, 1, 1, 1, 1), torch.zeros(1), 1.0)
    assert PRESETS[0] == "base"
