"""A portrait moved by a flow: nothing by default, whole pixels exactly, and the inside of a mouth painted over it."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from lipstream_models.bundled import avatar_path, load_bundled, read_bundled
from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.portrait import FaceLandmarker, prepare_portrait
from lipstream_models.warping.flow_warp import DESCRIBED, PLANES, Warp
from lipstream_models.warping.mouth_inpainting import CELL, REACH
from lipstream_training.data.encode_clips import samples_of
from lipstream_training.data.warp_components import Mouths, channels_of, filled

SIDE = 64


def whole_warp() -> Warp:
    """As many channels as a token's cells have numbers."""
    warp = Warp(DESCRIBED)
    warp.basis.copy_(torch.eye(DESCRIBED))
    return warp


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def tokens(cells: np.ndarray) -> torch.Tensor:
    """Of frames whose mouths have the mean colours."""
    frames, side = len(cells), cells.shape[1] // (16 // CELL)
    colours, seen = (np.zeros((frames, side, side, *rest), np.float32) for rest in ((2, 3), (2,)))
    flow, edges = np.split(cells.astype(np.float32), [2], axis=-1)
    return Mouths(edges, colours, seen).tokens(flow, torch.zeros(6))


def constant(right: float, down: float, frames: int = 1, side: int = SIDE) -> np.ndarray:
    cells = np.zeros((frames, side // CELL, side // CELL, sum(PLANES)), np.float32)
    cells[..., :2] = right, down
    return cells


def test_without_flow_every_frame_is_the_portrait() -> None:
    still = torch.zeros(3, 5, SIDE // 16, SIDE // 16)
    torch.testing.assert_close(Warp(5)(picture(), still), picture().expand(3, -1, -1, -1))


def test_a_flow_of_whole_pixels_shows_what_is_there() -> None:
    warp = whole_warp()
    moved = warp(picture(), channels_of(warp, tokens(constant(3, -2))))
    torch.testing.assert_close(moved[..., 2:, : SIDE - 3], picture()[..., : SIDE - 2, 3:])


def test_beyond_the_border_its_last_pixels_go_on() -> None:
    warp = whole_warp()
    moved = warp(picture(), channels_of(warp, tokens(constant(2 * SIDE, 0))))
    torch.testing.assert_close(moved, picture()[..., -1:].expand_as(moved))


def test_channels_are_the_nearest_that_the_components_have() -> None:
    cells = tokens(np.random.default_rng(0).normal(size=constant(0, 0, 2).shape))
    warp = Warp(7)
    warp.basis.copy_(torch.randn(7, DESCRIBED, generator=torch.Generator().manual_seed(1)))
    found = torch.einsum("nkhw,kc->nchw", channels_of(warp, cells), warp.basis)
    left = torch.einsum("nchw,kc->nkhw", cells - found, warp.basis)
    torch.testing.assert_close(left, torch.zeros_like(left), atol=1e-4, rtol=0)


def test_the_inside_of_a_mouth_is_not_the_portrait_s() -> None:
    warp = whole_warp()
    warp.inside.copy_(torch.tensor([0.1, -0.4, -0.5, 0.6, 0.5, 0.4]))
    cells = constant(0, 0)
    cells[:, 4:8, 4:12, 2:4], cells[..., 4:] = 2 * REACH, 1
    moved = warp(picture(), channels_of(warp, tokens(cells)))
    flesh = warp.inside[:3, None, None]
    torch.testing.assert_close(moved[..., 18:30, 18:46], flesh.expand(1, 3, 12, 28))
    torch.testing.assert_close(moved[..., :14, :], picture()[..., :14, :])


def test_a_flow_that_is_not_known_is_grown_in_from_the_lips() -> None:
    flow = np.zeros((16, 16, 2), np.float32)
    flow[8:, :, 1] = 10
    flow[6:10, 5:11] = np.nan
    whole = filled(flow)
    given = ~np.isnan(flow)
    np.testing.assert_array_equal(whole[given], flow[given])
    middle = whole[5:11, 8, 1]
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
    engine = TalkingHeadPipeline(replace(model, defaults=replace(model.defaults, noise_floor=0.0)))
    picture = np.array(Image.open(avatar_path("mila")).convert("RGB"))
    portrait = prepare_portrait(picture, FaceLandmarker(), model.portrait)
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(2, weights.autoencoder.config.latent_channels, 16, 16)).astype(np.float16)
    cells = constant(0, 0, 2, 256)
    cells[:, 40:60, 20:44, :2] = 3, -9
    cells[:, 44:48, 28:36, 2:4] = 2 * REACH
    samples = samples_of(weights.autoencoder, weights.warp, portrait, latents, tokens(cells))
    back = engine._latents(engine.encode_portrait(portrait), torch.from_numpy(samples).float() / model.spread)
    torch.testing.assert_close(back, torch.from_numpy(latents).float(), atol=0.01, rtol=0)
