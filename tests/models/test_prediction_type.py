"""DDIM steps for v-prediction and for prediction of the clean sample equal those of diffusers."""

from dataclasses import asdict

import pytest
import torch
from diffusers import DDIMScheduler

from lipstream_models.config import SchedulerConfig
from lipstream_models.scheduler import ddim_schedule

SAMPLE = SchedulerConfig(prediction_type="sample")


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_sample_prediction_steps_equal_diffusers(steps: int) -> None:
    scheduler = DDIMScheduler(**asdict(SAMPLE))
    scheduler.set_timesteps(steps)
    schedule = ddim_schedule(SAMPLE, steps)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 2, 3, 4, 4, generator=generator)
    for index, timestep in enumerate(scheduler.timesteps):
        prediction = torch.randn(latents.shape, generator=generator)
        expected = scheduler.step(prediction, timestep, latents).prev_sample
        latents = schedule.step(index, latents, prediction)
        torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-5)


def test_last_step_returns_the_predicted_sample() -> None:
    schedule = ddim_schedule(SAMPLE, 5)
    prediction = torch.randn(1, 2, 3, 4, 4)
    after = schedule.step(4, torch.randn(1, 2, 3, 4, 4), prediction)
    torch.testing.assert_close(after, prediction)


def test_both_prediction_types_give_the_same_step() -> None:
    clean, noise = torch.randn(1, 2, 3, 4, 4), torch.randn(1, 2, 3, 4, 4)
    by_v, by_sample = ddim_schedule(SchedulerConfig(), 6), ddim_schedule(SAMPLE, 6)
    for index, alpha in enumerate(by_v.alphas):
        latents = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
        v = alpha**0.5 * noise - (1 - alpha) ** 0.5 * clean
        torch.testing.assert_close(
            by_v.step(index, latents, v), by_sample.step(index, latents, clean), atol=1e-4, rtol=1e-4
        )


def test_other_prediction_types_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'epsilon' and 'trailing'"):
        ddim_schedule(SchedulerConfig(prediction_type="epsilon"), 4)
