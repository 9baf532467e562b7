"""Sampling loop and schedules: equal to diffusers, and pure."""

import itertools
from dataclasses import asdict

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toy_unet import ToyUNet

from lipstream_accel.flow_match import FlowMatchSchedule
from lipstream_accel.presets import PRESETS, preset
from lipstream_accel.sampling import sample
from lipstream_accel.schedule import DDIMSchedule
from lipstream_models.config import SchedulerConfig
from lipstream_models.scheduler import alphas_cumprod, ddim_schedule


class Contraction:
    """A denoiser whose prediction depends on row, timestep and latents; records the timesteps."""

    def __init__(self) -> None:
        self.timesteps: list[int] = []

    def whole(self, latents: Tensor, timestep: Tensor, conditions: Tensor) -> Tensor:
        self.timesteps.append(int(timestep[0]))
        return (
            0.3 * latents + conditions[:, None, None, None, None] + timestep[:, None, None, None, None] / 1000
        )


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 200))
def test_ddim_schedule_equals_diffusers(steps: int) -> None:
    config = SchedulerConfig()
    reference = DDIMScheduler(**asdict(config))
    reference.set_timesteps(steps)
    schedule = ddim_schedule(config, steps)
    # For some numbers of steps, such as 61, rounding gives diffusers one more step, at timestep -1.
    assert list(schedule.timesteps) == reference.timesteps.tolist()[:steps]
    latents = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(steps))
    prediction = latents.flip(-1)
    for index in {0, steps // 2, steps - 1}:
        expected = reference.step(prediction, reference.timesteps[index], latents).prev_sample
        assert torch.allclose(schedule.step(index, latents, prediction), expected, atol=1e-5)


def test_v_prediction_yields_clean_latents_and_noise() -> None:
    schedule = ddim_schedule(SchedulerConfig(), 10)
    clean, noise = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    for index, alpha in enumerate(schedule.alphas):
        latents = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
        v = alpha**0.5 * noise - (1 - alpha) ** 0.5 * clean
        found = schedule.clean_and_noise(index, latents, v)
        assert torch.allclose(torch.stack(found), torch.stack((clean, noise)), atol=1e-6)


def test_schedule_has_zero_terminal_snr() -> None:
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


def test_guidance_extrapolates_between_both_predictions() -> None:
    """With a denoiser that is linear in its condition, guidance s equals plain sampling at u + s (c - u)."""
    schedule = ddim_schedule(SchedulerConfig(), 6)
    latents = torch.randn(1, 3, 4, 2, 2, generator=torch.Generator().manual_seed(2))
    plan = preset("base", 6)
    guided = sample(Contraction(), plan, schedule, latents, torch.tensor([0.1, 0.4]), 3.0)
    plain = sample(Contraction(), plan, schedule, latents, torch.tensor([0.1 + 3.0 * 0.3]), 1.0)
    assert torch.allclose(guided, plain, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 60), st.integers(1, 900))
def test_last_step_ends_on_the_predicted_clean_latents(steps: int, last: int) -> None:
    """Steps go evenly from pure noise to the given timestep; the last one goes to the clean latents."""
    schedule = DDIMSchedule.trailing(alphas_cumprod().tolist(), steps, "sample", last)
    assert schedule.timesteps[0] == 999
    assert schedule.timesteps[-1] >= last - 1
    gaps = [a - b for a, b in itertools.pairwise(schedule.timesteps)]
    assert all(abs(gap - (1000 - last) / steps) <= 1 for gap in gaps)
    clean = torch.randn(3, generator=torch.Generator().manual_seed(steps))
    assert torch.equal(schedule.step(steps - 1, torch.zeros(3), clean), clean)


def test_invalid_arguments_name_the_rule() -> None:
    with pytest.raises(ValueError, match="last timestep must be between 0 and 999, got 1000"):
        DDIMSchedule.trailing(alphas_cumprod().tolist(), 4, last=1000)
    with pytest.raises(ValueError, match="between 1 and 1000, got 0"):
        DDIMSchedule.trailing(alphas_cumprod().tolist(), 0)
    with pytest.raises(ValueError, match="unknown preset 'warp': expected one of base"):
        preset("warp", 4)
    with pytest.raises(ValueError, match="has 5 steps, its schedule has 4"):
        schedule = ddim_schedule(SchedulerConfig(), 4)
        sample(Contraction(), preset("base", 5), schedule, torch.zeros(1, 1, 1, 1, 1), torch.zeros(1), 1.0)
    assert PRESETS[0] == "base"


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_flow_match_schedule_equals_diffusers(steps: int, shift: float) -> None:
    reference = FlowMatchEulerDiscreteScheduler(shift=shift)
    reference.set_timesteps(steps)
    schedule = FlowMatchSchedule.linear(steps, shift=shift)
    assert schedule.timesteps == pytest.approx(reference.timesteps.tolist(), rel=1e-5)
    latents = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(steps))
    velocity = latents.flip(-1)
    ours = latents
    for index, t in enumerate(reference.timesteps):
        latents = reference.step(velocity, t, latents).prev_sample
        ours = schedule.step(index, ours, velocity)
    assert torch.allclose(ours, latents, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 60), st.data())
def test_roll_reuses_the_noise_of_the_key_step(steps: int, data: st.DataObject) -> None:
    """`roll` equals the formula with lambda and tau of LightningCP."""
    key = data.draw(st.integers(1, steps - 1))
    schedule = DDIMSchedule.trailing(alphas_cumprod().tolist(), steps)
    latents, v = torch.randn(2, 4, generator=torch.Generator().manual_seed(steps), dtype=torch.float64)
    noise = schedule.direction(key, latents, v)
    by_hand = rolled = latents
    for index in range(key, steps):
        a, b = schedule.alphas[index], schedule.alphas_after[index]
        tau = b**0.5 * ((1 / b - 1) ** 0.5 - (1 / a - 1) ** 0.5)
        by_hand = (b / a) ** 0.5 * by_hand + tau * noise
        rolled = schedule.roll(index, rolled, noise)
        assert torch.allclose(rolled, by_hand, atol=1e-9)
    assert torch.allclose(schedule.roll(key, latents, noise), schedule.step(key, latents, v))
    with pytest.raises(ValueError, match="step 0 starts from pure noise"):
        schedule.roll(0, latents, noise)


def test_flow_match_roll_moves_on_a_straight_line() -> None:
    schedule = FlowMatchSchedule.linear(10)
    clean, noise = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    sigmas = schedule.sigmas
    latents = (1 - sigmas[3]) * clean + sigmas[3] * noise
    velocity = schedule.direction(3, latents, noise - clean)
    for index in range(3, 10):
        latents = schedule.roll(index, latents, velocity)
        assert torch.allclose(latents, (1 - sigmas[index + 1]) * clean + sigmas[index + 1] * noise, atol=1e-6)
    with pytest.raises(ValueError, match="between 1 and 1000, got 0"):
        FlowMatchSchedule.linear(0)
    with pytest.raises(ValueError, match="shift must be above 0"):
        FlowMatchSchedule.linear(4, shift=0)


def test_sampling_runs_a_parallel_plan_on_both_schedules() -> None:
    z, conditions = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(3)), torch.ones(1, 1)
    for schedule in (FlowMatchSchedule.linear(12), ddim_schedule(SchedulerConfig(), 12)):
        fast = sample(ToyUNet(), preset("lightningcp", 12), schedule, z, conditions, 1.0)
        assert fast.isfinite().all()
        assert not torch.equal(fast, sample(ToyUNet(), preset("exact", 12), schedule, z, conditions, 1.0))
