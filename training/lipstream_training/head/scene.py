"""Where a clip takes place: light, backdrop and framing, sampled per clip."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """Directions are unit vectors towards the light (x right, y up, z to the camera); colours are linear."""

    key_direction: Colour
    key: Colour
    sky: Colour
    ground: Colour
    rim_direction: Colour
    rim: Colour
    exposure: float


@dataclass(frozen=True)
class Backdrop:
    """`style` is studio, gradient, bokeh or room; colours are sRGB 0..1."""

    style: str
    first: Colour
    second: Colour
    seed: int


@dataclass(frozen=True)
class Scene:
    """Light, backdrop and framing: `face_fraction` of the frame's height goes from hairline to chin."""

    light: Light
    backdrop: Backdrop
    face_fraction: float
    offset: tuple[float, float]

    @staticmethod
    def sample(rng: np.random.Generator) -> "Scene":
        """A pleasant portrait set-up."""
        return _sample(rng)


def _unit(x: float, y: float, z: float) -> Colour:
    length = float(np.sqrt(x * x + y * y + z * z))
    return x / length, y / length, z / length


def _sample(rng: np.random.Generator) -> Scene:
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
    tones: tuple[Colour, ...] = (
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
    first, second = tones[int(rng.integers(len(tones)))], tones[int(rng.integers(len(tones)))]
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
    """The backdrop as (size,size,3) uint8, row 0 at the top; always soft, as if far out of focus."""
    rng = np.random.default_rng(backdrop.seed)
    y, x = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    first, second = np.array(backdrop.first), np.array(backdrop.second)
    away = np.hypot(x - 0.5 - rng.uniform(-0.15, 0.15), y - 0.45)
    if backdrop.style == "studio":
        picture = first * (1.10 - 0.62 * away[..., None] ** 1.3)
    elif backdrop.style == "gradient":
        angle = rng.uniform(0, np.pi)
        along = (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + 0.6)[..., None]
        picture = first * (1 - along) + second * along
    else:
        picture = _shapes(rng, x, y, first, second, backdrop.style)
    picture = picture * (1 - 0.18 * away[..., None] ** 2)
    return np.clip(picture * 255, 0, 255).astype(np.uint8)


def _shapes(
    rng: np.random.Generator,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    style: str,
) -> NDArray[np.float64]:
    picture = first * (0.95 - 0.25 * y[..., None]) + 0 * x[..., None]
    soft = rng.uniform(0.02, 0.045)
    for _ in range(int(rng.integers(4, 9)) if style == "room" else int(rng.integers(12, 26))):
        colour = second * rng.uniform(0.55, 1.3) * (1 + rng.normal(0, 0.06, 3))
        cx, cy = rng.uniform(-0.1, 1.1, 2)
        if style == "room":
            wide, tall = rng.uniform(0.05, 0.28), rng.uniform(0.1, 0.6)
            inside = _edge(wide - np.abs(x - cx), soft) * _edge(tall - np.abs(y - cy), soft)
            share = inside * rng.uniform(0.3, 0.85)
        else:
            radius = rng.uniform(0.02, 0.09)
            share = _edge(radius - np.hypot(x - cx, y - cy), 0.012) * rng.uniform(0.12, 0.5)
            colour = colour * 1.1 + 0.15
        picture = picture * (1 - share[..., None]) + colour * share[..., None]
    return picture


def _edge(distance: NDArray[np.float64], soft: float) -> NDArray[np.float64]:
    at = np.clip(distance / (2 * soft) + 0.5, 0, 1)
    return at * at * (3 - 2 * at)
