"""Random colours of skin, lips, hair and eyes."""

import numpy as np

from .palette import (
    HAIRS,
    IRISES,
    SKINS,
    Colour,
)


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """Return the mean of two colours, with ``share`` as the weight of the second."""
    r, g, b = (float(a * (1 - share) + c * share) for a, c in zip(first, second, strict=True))
    return r, g, b


def vary(rng: np.random.Generator, colour: Colour, by: float) -> Colour:
    """Return a colour with random brightness and hue."""
    brightness = rng.normal(0, by)
    r, g, b = (float(np.clip(c + brightness * 0.7 + rng.normal(0, by * 0.4), 0.02, 0.97)) for c in colour)
    return r, g, b


def skin_colour(rng: np.random.Generator, mix: np.ndarray) -> Colour:
    """Return a random skin colour for ancestry shares (3,)."""
    total = np.zeros(3)
    for weight, palette in zip(mix, SKINS.values(), strict=True):
        at = rng.uniform(0, len(palette) - 1)
        low = int(at)
        high = min(low + 1, len(palette) - 1)
        total += weight * (np.array(palette[low]) * (1 - at + low) + np.array(palette[high]) * (at - low))
    return vary(rng, (float(total[0]), float(total[1]), float(total[2])), 0.012)


def natural_lips(skin: Colour) -> Colour:
    """Return the lip colour that belongs to a skin colour."""
    r, g, b = skin
    return (min(0.84, r * 0.90 + 0.02), g * 0.60 + 0.02, b * 0.66 + 0.03)


def random_hair_colour(rng: np.random.Generator, ancestry: str, age: float) -> Colour:
    """Return a random hair colour for an ancestry and an age in [0, 1]; hair turns grey with age."""
    odds = {
        "african": (0.8, 0.18, 0.0, 0.02),
        "asian": (0.75, 0.23, 0.0, 0.02),
        "caucasian": (0.12, 0.46, 0.30, 0.12),
    }
    name = str(rng.choice(("black", "brown", "fair", "red"), p=odds[ancestry]))
    colour = vary(rng, HAIRS[name][int(rng.integers(len(HAIRS[name])))], 0.02)
    grey = HAIRS["grey"][int(rng.integers(len(HAIRS["grey"])))]
    share = float(np.clip((age - 0.42) * 2.2 + rng.normal(0, 0.15), 0, 1)) if age > 0.35 else 0.0
    r, g, b = (float(c * (1 - share) + w * share) for c, w in zip(colour, grey, strict=True))
    return r, g, b


def iris_colour(rng: np.random.Generator, ancestry: str) -> Colour:
    """Return a random iris colour for an ancestry."""
    dark = ("dark", "dark", "brown")
    name = str(
        rng.choice(("brown", "hazel", "green", "blue", "blue", "grey") if ancestry == "caucasian" else dark)
    )
    return vary(rng, IRISES[name], 0.015)
