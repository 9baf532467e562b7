"""The scene of a clip: light, backdrop and framing, sampled from a seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """Lights of a scene; colours are linear.

    Attributes:
        key_direction: Unit vector towards the key light (x right, y up, z to the camera).
        key: Colour of the key light.
        sky: Colour of ambient light from above.
        ground: Colour of ambient light from below.
        rim_direction: Unit vector towards the rim light.
        rim: Colour of the rim light.
        exposure: Factor on all light.
    """

    key_direction: Colour
    key: Colour
    sky: Colour
    ground: Colour
    rim_direction: Colour
    rim: Colour
    exposure: float


@dataclass(frozen=True)
class Backdrop:
    """A backdrop.

    Attributes:
        style: "studio", "gradient", "bokeh" or "room".
        first: sRGB colour in [0, 1].
        second: sRGB colour in [0, 1].
        seed: Seed of its shapes.
    """

    style: str
    first: Colour
    second: Colour
    seed: int


@dataclass(frozen=True)
class Scene:
    """Light, backdrop and framing.

    Attributes:
        light: The lights.
        backdrop: The backdrop.
        face_fraction: Share of the frame's height from hairline to chin.
        offset: Displacement of the face to the right and up, as shares of the frame.
    """

    light: Light
    backdrop: Backdrop
    face_fraction: float
    offset: tuple[float, float]

    @staticmethod
    def sample(rng: np.random.Generator) -> "Scene":
        """Return a random scene with the light of a portrait studio."""
        return _sample_scene(rng)


def _unit(x: float, y: float, z: float) -> Colour:
    length = float(np.sqrt(x * x + y * y + z * z))
    return x / length, y / length, z / length


def _sample_scene(rng: np.random.Generator) -> Scene:
    side = -1.0 if rng.random() < 0.5 else 1.0
    warm = float(rng.uniform(-1, 1))
    power = float(rng.uniform(1.0, 1.5))
    key = (power * (1 + 0.07 * warm), power, power * (1 - 0.10 * warm))
    fill = float(rng.uniform(0.34, 0.60))
    light = Light(
        key_direction=_unit(side * float(rng.uniform(0.15, 0.85)), float(rng.uniform(0.25, 0.75)), 1.0),
        key=key,
        sky=(fill * (1 - 0.05 * warm), fill, fill * (1 + 0.07 * warm)),
        ground=(fill * 0.62, fill * 0.55, fill * 0.50),
        rim_direction=_unit(-side * float(rng.uniform(0.7, 1.1)), float(rng.uniform(0.1, 0.5)), -0.55),
        rim=(float(rng.uniform(0.25, 0.9)),) * 3,
        exposure=float(rng.uniform(0.95, 1.12)),
    )
    colour_offsets: tuple[Colour, ...] = (
        (0.62, 0.66, 0.70),
        (0.42, 0.47, 0.52),
        (0.75, 0.71, 0.66),
        (0.33, 0.40, 0.42),
        (0.58, 0.52, 0.48),
        (0.50, 0.58, 0.56),
        (0.80, 0.82, 0.84),
        (0.38, 0.34, 0.38),
        (0.30, 0.36, 0.46),
        (0.66, 0.60, 0.62),
    )
    first, second = (
        colour_offsets[int(rng.integers(len(colour_offsets)))],
        colour_offsets[int(rng.integers(len(colour_offsets)))],
    )
    backdrop = Backdrop(
        str(rng.choice(("studio", "studio", "gradient", "bokeh", "room", "room"))),
        first,
        second,
        int(rng.integers(1 << 30)),
    )
    return Scene(
        light,
        backdrop,
        float(rng.uniform(0.55, 0.62)),
        (float(rng.normal(0, 0.008)), float(rng.normal(0, 0.008))),
    )


def paint_backdrop(backdrop: Backdrop, size: int = 256) -> NDArray[np.uint8]:
    """Return the pixels (size, size, 3) of a backdrop, row 0 at the top, soft as if out of focus."""
    rng = np.random.default_rng(backdrop.seed)
    y, x = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    first, second = np.array(backdrop.first), np.array(backdrop.second)
    away = np.hypot(x - 0.5 - rng.uniform(-0.15, 0.15), y - 0.45)
    if backdrop.style == "studio":
        image = first * (1.10 - 0.62 * away[..., None] ** 1.3)
    elif backdrop.style == "gradient":
        angle = rng.uniform(0, np.pi)
        along = (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + 0.6)[..., None]
        image = first * (1 - along) + second * along
    else:
        image = _shapes(rng, x, y, first, second, backdrop.style)
    image = image * (1 - 0.18 * away[..., None] ** 2)
    return np.clip(image * 255, 0, 255).astype(np.uint8)


def _shapes(
    rng: np.random.Generator,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    style: str,
) -> NDArray[np.float64]:
    """Return a backdrop (size, size, 3) of soft rectangles or discs; x and y (size, size) are in [0, 1]."""
    image = first * (0.95 - 0.25 * y[..., None]) + 0 * x[..., None]
    soft = rng.uniform(0.02, 0.045)
    for _ in range(int(rng.integers(4, 9)) if style == "room" else int(rng.integers(12, 26))):
        colour = second * rng.uniform(0.55, 1.3) * (1 + rng.normal(0, 0.06, 3))
        cx, cy = rng.uniform(-0.1, 1.1, 2)
        if style == "room":
            wide, tall = rng.uniform(0.05, 0.28), rng.uniform(0.1, 0.6)
            inside = _soft_edge(wide - np.abs(x - cx), soft) * _soft_edge(tall - np.abs(y - cy), soft)
            share = inside * rng.uniform(0.3, 0.85)
        else:
            radius = rng.uniform(0.02, 0.09)
            share = _soft_edge(radius - np.hypot(x - cx, y - cy), 0.012) * rng.uniform(0.12, 0.5)
            colour = colour * 1.1 + 0.15
        image = image * (1 - share[..., None]) + colour * share[..., None]
    return image


def _soft_edge(distance: NDArray[np.float64], soft: float) -> NDArray[np.float64]:
    """Return 0 outside and 1 inside for signed distances (size, size), with a smooth edge."""
    at = np.clip(distance / (2 * soft) + 0.5, 0, 1)
    return at * at * (3 - 2 * at)
