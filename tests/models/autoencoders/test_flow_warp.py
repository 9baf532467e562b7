"""Flow warp: identity by default, exact for whole pixels, with the inside of the mouth painted over it."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from lipstream_models.bundled import avatar_path, load_bundled, read_bundled
from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.portrait import FaceLandmarker, prepare_portrait
from lipstream_models.warping.flow_warp import CELL_CHANNELS, FIELDS_PER_TOKEN, FlowWarp
from lipstream_models.warping.mouth_inpainting import CELL_PX, MAX_EDGE_DISTANCE_PX
from lipstream_training.data.encode_clips import samples_of
from lipstream_training.data.warp_components import Mouths, channels_of, filled

SIDE = 64


def complete_warp() -> FlowWarp:
    """Return a warp with one channel for each field of a token."""
    warp = FlowWarp(FIELDS_PER_TOKEN)
    warp.basis.copy_(torch.eye(FIELDS_PER_TOKEN))
    return warp


def portrait_image(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def tokens(cells: np.ndarray) -> torch.Tensor:
    """Return tokens of frames whose mouths have the mean colours."""
    frames, side = len(cells), cells.shape[1] // (16 // CELL_PX)
    colours, seen = (np.zeros((frames, side, side, *rest), np.float32) for rest in ((2, 3), (2,)))
    flow, edges = np.split(cells.astype(np.float32), [2], axis=-1)
    return Mouths(edges, colours, seen).tokens(flow, torch.zeros(6))


def constant(right: float, down: float, frames: int = 1, side: int = SIDE) -> np.ndarray:
    cells = np.zeros((frames, side // CELL_PX, side // CELL_PX, sum(CELL_CHANNELS)), np.float32)
    cells[..., :2] = right, down
    return cells


def test_zero_flow_returns_the_portrait() -> None:
    still = torch.zeros(3, 5, SIDE // 16, SIDE // 16)
    torch.testing.assert_close(FlowWarp(5)(portrait_image(), still), portrait_image().expand(3, -1, -1, -1))


def test_flow_of_whole_pixels_shifts_the_portrait() -> None:
    warp = complete_warp()
    moved = warp(portrait_image(), channels_of(warp, tokens(constant(3, -2))))
    torch.testing.assert_close(moved[..., 2:, : SIDE - 3], portrait_image()[..., : SIDE - 2, 3:])


def test_flow_beyond_the_border_repeats_border_pixels() -> None:
    warp = complete_warp()
    moved = warp(portrait_image(), channels_of(warp, tokens(constant(2 * SIDE, 0))))
    torch.testing.assert_close(moved, portrait_image()[..., -1:].expand_as(moved))


def test_flow_channels_are_the_least_squares_fit() -> None:
    cells = tokens(np.random.default_rng(0).normal(size=constant(0, 0, 2).shape))
    warp = FlowWarp(7)
    warp.basis.copy_(torch.randn(7, FIELDS_PER_TOKEN, generator=torch.Generator().manual_seed(1)))
    found = torch.einsum("nkhw,kc->nchw", channels_of(warp, cells), warp.basis)
    left = torch.einsum("nchw,kc->nkhw", cells - found, warp.basis)
    torch.testing.assert_close(left, torch.zeros_like(left), atol=1e-4, rtol=0)


def test_mouth_inside_is_painted_over_the_portrait() -> None:
    warp = complete_warp()
    warp.inside.copy_(torch.tensor([0.1, -0.4, -0.5, 0.6, 0.5, 0.4]))
    cells = constant(0, 0)
    cells[:, 4:8, 4:12, 2:4], cells[..., 4:] = 2 * MAX_EDGE_DISTANCE_PX, 1
    moved = warp(portrait_image(), channels_of(warp, tokens(cells)))
    flesh = warp.inside[:3, None, None]
    torch.testing.assert_close(moved[..., 18:30, 18:46], flesh.expand(1, 3, 12, 28))
    torch.testing.assert_close(moved[..., :14, :], portrait_image()[..., :14, :])


def test_unknown_flow_is_filled_from_the_lips() -> None:
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


def test_denoise_residual_removes_noise_and_preserves_large_residuals() -> None:
    residual = torch.full((1, 4, 5, 9), 0.1)
    residual[..., 3:6], residual[..., 6:] = 0.2, 10.0
    denoised = FlowWarp.denoise_residual(residual, floor=0.02)
    torch.testing.assert_close(denoised[0, 0, 2, ::4], torch.tensor([0.0, 0.1, 9.998]))
    assert 0.05 < denoised[0, 0, 2, 3] < 0.1  # beside tokens below the floor
    torch.testing.assert_close(FlowWarp.denoise_residual(residual, floor=0.0), residual)


def test_pipeline_inverts_the_samples_of_training() -> None:
    weights, model = read_bundled(), load_bundled(dtype=torch.float32)
    assert weights.warp is not None
    assert model.residual_scale is not None
    pipeline = TalkingHeadPipeline(replace(model, defaults=replace(model.defaults, noise_floor=0.0)))
    image = np.array(Image.open(avatar_path("mila")).convert("RGB"))
    portrait = prepare_portrait(image, FaceLandmarker(), model.portrait)
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(2, weights.autoencoder.config.latent_channels, 16, 16)).astype(np.float16)
    cells = constant(0, 0, 2, 256)
    cells[:, 40:60, 20:44, :2] = 3, -9
    cells[:, 44:48, 28:36, 2:4] = 2 * MAX_EDGE_DISTANCE_PX
    samples = samples_of(weights.autoencoder, weights.warp, portrait, latents, tokens(cells))
    back = pipeline._compose_latents(
        pipeline.encode_portrait(portrait), torch.from_numpy(samples).float() / model.residual_scale
    )
    torch.testing.assert_close(back, torch.from_numpy(latents).float(), atol=0.01, rtol=0)
