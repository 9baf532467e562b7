"""Mouth inpainting: edges at the given distances with subpixel accuracy, and nothing between closed lips."""

import numpy as np
import torch

from lipstream_models.warping.mouth_inpainting import (
    CELL_PX,
    LIP_CLOSURE_BIAS_PX,
    MAX_EDGE_DISTANCE_PX,
    paint_mouth,
)
from lipstream_training.data.mouth_fields import (
    DARK,
    edge_distances,
    seen_colours,
    tones,
)

SIDE = 64
CELLS = SIDE // CELL_PX
FLESH, TEETH = torch.tensor([0.2, -0.6, -0.5]), torch.tensor([0.7, 0.6, 0.5])
SKIN = torch.tensor([0.3, 0.1, 0.0])


def fields(upper_lip: float, lower_lip: float, upper_teeth: float, lower_teeth: float) -> torch.Tensor:
    """Return mouth fields with horizontal edges at these pixel rows."""
    rows = np.float32([upper_lip, lower_lip, upper_teeth, lower_teeth])
    outlines = (
        np.broadcast_to(rows[:, None], (1, 4, CELLS))
        + np.float32([-LIP_CLOSURE_BIAS_PX, LIP_CLOSURE_BIAS_PX - DARK, 0, 0])[:, None]
    )
    distances = torch.from_numpy(edge_distances(outlines, np.float32([[0, 0, SIDE, SIDE]])))
    colours = torch.cat([FLESH, TEETH]).expand(1, CELLS, CELLS, 6)
    return torch.cat([distances, colours], dim=-1).permute(0, 3, 1, 2)


def painted_column(*rows: float) -> torch.Tensor:
    """Return one painted column (SIDE, 3) of a frame of skin."""
    frames = SKIN[:, None, None].expand(1, 3, SIDE, SIDE).clone()
    paint_mouth(frames, fields(*rows))
    torch.testing.assert_close(frames, frames[..., :1].expand_as(frames))
    return frames[0, :, :, 0].T


def test_mouth_shows_teeth_behind_lips_and_flesh_between_teeth() -> None:
    column = painted_column(20, 44, 26, 40)
    for colour, rows in (
        (SKIN, (0, 19)),
        (TEETH, (21, 25)),
        (FLESH, (27, 39)),
        (TEETH, (41, 43)),
        (SKIN, (45, 64)),
    ):
        torch.testing.assert_close(column[slice(*rows)], colour.expand(rows[1] - rows[0], 3))


def test_edge_within_a_pixel_is_antialiased() -> None:
    pixel = painted_column(20.25, 44, 0, 63)[20]
    torch.testing.assert_close(pixel, torch.lerp(SKIN, FLESH, torch.tensor(0.75)), atol=0.02, rtol=0)


def test_closed_lips_and_empty_fields_change_nothing() -> None:
    torch.testing.assert_close(painted_column(33, 31, 30, 36), SKIN.expand(SIDE, 3))
    frames = SKIN[:, None, None].expand(1, 3, SIDE, SIDE).clone()
    paint_mouth(frames, torch.zeros(1, 10, CELLS, CELLS))
    torch.testing.assert_close(frames, SKIN[:, None, None].expand(1, 3, SIDE, SIDE))


def test_batched_frames_equal_each_alone() -> None:
    both = torch.cat([fields(20, 44, 26, 40), fields(10, 14, 9, 15)])
    frames = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    alone = frames.clone()
    paint_mouth(frames, both)
    for number in range(2):
        paint_mouth(alone[number : number + 1], both[number : number + 1])
    torch.testing.assert_close(frames, alone)


def test_edge_distances_are_zero_far_from_the_lips() -> None:
    outlines = np.full((1, 4, CELLS), 30, np.float32)
    given = edge_distances(outlines, np.float32([[24, 28, 40, 34]]))
    assert (given[0, :, 0] == 0).all()
    np.testing.assert_allclose(given[0, 7, 8, ::2], [MAX_EDGE_DISTANCE_PX, 0])


def test_colours_are_visible_ones_and_means_elsewhere() -> None:
    frames = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    inside = np.zeros((1, CELLS, CELLS), np.uint8)
    inside[:, 8:10, 4:12], inside[:, 10:12, 4:12] = 2, 1
    frames[:, 32:40, 16:48], frames[:, 40:48, 16:48] = (255, 204, 153), (102, 51, 51)
    mean = np.float32([0.1, 0, 0, 0, 0.5, 0])
    away = tones(*seen_colours(frames, inside), mean)[0] + mean
    np.testing.assert_allclose(away[2, 1], [-0.2, -0.6, -0.6, 1, 0.6, 0.2], atol=0.03)
    np.testing.assert_allclose(away[0, 0], mean, atol=0.01)
