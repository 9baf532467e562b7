"""What is drawn for the choice of a plan is what sampling really does."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from narrow_networks import (
    NARROW,
    SIDE,
    make_conditions,
    make_latents,
    seeded_network,
)
from PIL import Image

from lipstream_accel.presets import preset
from lipstream_accel.sampling import sample
from lipstream_accel.sampling_trace import trace_sampling
from lipstream_accel.schedule import DDIMSchedule
from lipstream_models.analysis.analysis import KINDS, Analysis, analyse
from lipstream_models.analysis.plots import plot_analysis, plot_frames
from lipstream_models.commands.analyse import as_dict
from lipstream_models.sampling import Sampling
from lipstream_models.scheduler import alphas_cumprod

STEPS = 4
SCHEDULE = DDIMSchedule.trailing(alphas_cumprod().tolist(), STEPS)
FACE = torch.arange(5, 20)


@pytest.fixture(scope="module")
def found() -> Analysis:
    network = seeded_network()
    return analyse(
        network.denoising_unet, SCHEDULE, make_latents(NARROW, 1), make_conditions(network), 2.0, FACE
    )


def test_walking_visits_the_latents_that_sampling_visits() -> None:
    network = seeded_network()
    noise, conditions = make_latents(NARROW, 1), make_conditions(network)
    steps = list(trace_sampling(network.denoising_unet, SCHEDULE, noise, conditions, 2.0))
    assert [step.time for step in steps] == list(SCHEDULE.timesteps)
    with torch.no_grad():
        last = steps[-1]
        predicted = last.key_step.prediction.chunk(2)
        guided = predicted[0] + 2.0 * (predicted[1] - predicted[0])
        end = SCHEDULE.step(STEPS - 1, last.latents, guided)
    whole = sample(network.denoising_unet, preset("exact", STEPS), SCHEDULE, noise, conditions, 2.0)
    assert torch.equal(end, whole)


def test_every_figure_has_a_number_for_every_step(found: Analysis) -> None:
    compared = [found.feature_distance, found.feature_cosine, found.latents_distance, found.noise_distance]
    compared += [found.background_change[kind] for kind in KINDS]
    for numbers in compared:
        assert len(numbers) == STEPS
        assert math.isnan(numbers[0])
        assert all(number > 0 for number in numbers[1:])
    assert all(-1 <= number <= 1 + 1e-6 for number in found.feature_cosine[1:])


def test_the_shares_of_attention_add_up(found: Analysis) -> None:
    shares = np.array(list(found.foreground_attention.values()))
    assert set(found.foreground_attention) == {
        "face noisy", "background noisy", "face reference", "background reference",
    }  # fmt: skip
    assert shares.sum(0) == pytest.approx(np.ones(STEPS), abs=1e-5)


def test_a_face_that_is_everything_leaves_no_background() -> None:
    network = seeded_network()
    everything = torch.arange(SIDE * SIDE)
    found = analyse(
        network.denoising_unet, SCHEDULE, make_latents(NARROW, 1), make_conditions(network), 2.0, everything
    )
    assert found.foreground_attention["background noisy"] == [0.0] * STEPS
    assert all(math.isnan(change) for change in found.background_change["reference"])


def test_the_pictures_are_drawn_and_the_numbers_are_json(found: Analysis, tmp_path: Path) -> None:
    paths = plot_analysis(found, tmp_path)
    frames = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), np.uint8)
    paths.append(plot_frames({"base": frames, "paper": frames}, tmp_path / "figure5.png", 3))
    assert [path.name for path in paths] == ["figure1.png", "figure2.png", "figure4.png", "figure5.png"]
    for path in paths:
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 5
    numbers = json.loads(json.dumps(as_dict(found, "narrow", Sampling(steps=STEPS)), allow_nan=False))
    assert numbers["feature_distance"][0] is None
