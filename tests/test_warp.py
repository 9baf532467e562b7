"""A portrait moved by a flow: nothing by default, whole pixels exactly, and of the inside of a mouth nothing."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from lipstream_models.bundled import avatar_path, load_bundled, read_bundled
from lipstream_models.engine import Engine
from lipstream_models.portrait import FaceLandmarker, prepare_portrait
from lipstream_models.warp import CELL, CELLS, Warp
from lipstream_training.encode_clips import samples_of
from lipstream_training.flow_components import cells_of, channels_of, tokens_of

SIDE = 64


def whole_warp() -> Warp:
    """As many channels as a token's cells have numbers."""
    warp = Warp(3 * CELLS**2)
    warp.basis.copy_(torch.eye(3 * CELLS**2))
    return warp


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def constant(right: float, down: float, inside: float = 0) -> np.ndarray:
    return np.broadcast_to(np.float32([right, down, inside]), (1, SIDE // CELL, SIDE // CELL, 3))


def test_without_flow_every_frame_is_the_portrait() -> None:
    still = torch.zeros(3, 5, SIDE // 16, SIDE // 16)
    torch.testing.assert_close(Warp(5)(picture(), still), picture().expand(3, -1, -1, -1))


def test_a_flow_of_whole_pixels_shows_what_is_there() -> None:
    warp = whole_warp()
    moved = warp(picture(), channels_of(warp, constant(3, -2)))
    torch.testing.assert_close(moved[..., 2:, : SIDE - 3], picture()[..., : SIDE - 2, 3:])


def test_beyond_the_border_its_last_pixels_go_on() -> None:
    warp = whole_warp()
    moved = warp(picture(), channels_of(warp, constant(2 * SIDE, 0)))
    torch.testing.assert_close(moved, picture()[..., -1:].expand_as(moved))


def test_channels_are_the_nearest_that_the_components_have() -> None:
    flow = np.random.default_rng(0).normal(size=(2, SIDE // CELL, SIDE // CELL, 3)).astype(np.float32)
    warp = Warp(7)
    warp.basis.copy_(torch.randn(7, 3 * CELLS**2, generator=torch.Generator().manual_seed(1)))
    found = torch.einsum("nkhw,kc->nchw", channels_of(warp, flow), warp.basis)
    left = torch.einsum("nchw,kc->nkhw", tokens_of(flow) - found, warp.basis)
    torch.testing.assert_close(left, torch.zeros_like(left), atol=1e-4, rtol=0)


def test_the_inside_of_a_mouth_is_not_the_portrait_s() -> None:
    warp = whole_warp()
    warp.inside.copy_(torch.tensor([0.1, -0.4, -0.5]))
    cells = constant(0, 0).copy()
    cells[:, 4:8, 4:12, 2] = 1
    moved = warp(picture(), channels_of(warp, cells))
    torch.testing.assert_close(moved[..., 18:30, 18:46], warp.inside[:, None, None].expand(1, 3, 12, 28))
    torch.testing.assert_close(moved[..., :14, :], picture()[..., :14, :])


def test_what_is_not_known_is_the_inside_of_a_mouth_and_its_flow_grown_in_from_the_lips() -> None:
    flow = np.zeros((1, 16, 16, 2), np.float16)
    flow[:, 8:, :, 1] = 10
    flow[:, 6:10, 5:11] = np.nan
    cells = cells_of(flow)[0]
    known = ~np.isnan(flow[0])
    np.testing.assert_array_equal(cells[..., :2][known], flow[0][known])
    np.testing.assert_array_equal(cells[..., 2], np.isnan(flow[0, ..., 0]))
    middle = cells[5:11, 8, 1]
    assert (np.diff(middle) > 0).all()
    assert middle[0] < 1
    assert middle[-1] > 9


def test_of_a_difference_that_is_noise_nothing_is_kept_and_of_a_large_one_nearly_all() -> None:
    difference = torch.full((1, 4, 5, 9), 0.1)
    difference[..., 3:6], difference[..., 6:] = 0.2, 10.0
    kept = Warp.kept(difference, floor=0.02)
    torch.testing.assert_close(kept[0, 0, 2, ::4], torch.tensor([0.0, 0.1, 9.998]))
    assert 0.05 < kept[0, 0, 2, 3] < 0.1  # beside what does not count
    torch.testing.assert_close(Warp.kept(difference, floor=0.0), difference)


def test_the_engine_makes_of_a_sample_the_latents_that_training_made_it_of() -> None:
    weights, model = read_bundled(), load_bundled(dtype=torch.float32)
    assert weights.warp is not None
    assert model.spread is not None
    engine = Engine(replace(model, defaults=replace(model.defaults, noise_floor=0.0)))
    picture = np.array(Image.open(avatar_path("mila")).convert("RGB"))
    portrait = prepare_portrait(picture, FaceLandmarker(), model.portrait)
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(2, weights.autoencoder.config.latent_channels, 16, 16)).astype(np.float16)
    flow = np.zeros((2, 64, 64, 2), np.float16)
    flow[:, 40:60, 20:44] = 3, -9
    flow[:, 44:48, 28:36] = np.nan
    samples = samples_of(weights.autoencoder, weights.warp, portrait, latents, flow)
    back = engine._latents(engine.register(portrait), torch.from_numpy(samples).float() / model.spread)
    torch.testing.assert_close(back, torch.from_numpy(latents).float(), atol=0.01, rtol=0)
