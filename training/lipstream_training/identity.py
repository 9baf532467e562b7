"""Who a rendered person is: face shape, colours, hair and clothes, sampled from a seed."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from .head_mesh import HeadMesh

Colour = tuple[float, float, float]

SKINS: dict[str, tuple[Colour, ...]] = {
    "african": ((0.29, 0.18, 0.13), (0.40, 0.26, 0.18), (0.52, 0.35, 0.25), (0.63, 0.44, 0.32)),
    "asian": ((0.92, 0.76, 0.64), (0.87, 0.69, 0.55), (0.80, 0.61, 0.46), (0.68, 0.48, 0.34)),
    "caucasian": ((0.95, 0.79, 0.71), (0.92, 0.74, 0.64), (0.86, 0.66, 0.54), (0.76, 0.55, 0.42)),
}
HAIRS: dict[str, tuple[Colour, ...]] = {
    "black": ((0.075, 0.062, 0.060), (0.105, 0.082, 0.070)),
    "brown": ((0.16, 0.095, 0.06), (0.24, 0.15, 0.09), (0.33, 0.21, 0.13)),
    "fair": ((0.62, 0.46, 0.27), (0.50, 0.36, 0.21), (0.72, 0.57, 0.37)),
    "red": ((0.45, 0.20, 0.09), (0.36, 0.15, 0.08)),
    "grey": ((0.48, 0.47, 0.46), (0.66, 0.65, 0.63), (0.34, 0.33, 0.32)),
}
IRISES: dict[str, Colour] = {
    "dark": (0.15, 0.085, 0.05),
    "brown": (0.28, 0.16, 0.085),
    "hazel": (0.36, 0.28, 0.14),
    "green": (0.30, 0.37, 0.24),
    "blue": (0.27, 0.40, 0.54),
    "grey": (0.38, 0.43, 0.46),
}
CLOTHES: tuple[Colour, ...] = (
    (0.16, 0.20, 0.30), (0.85, 0.84, 0.81), (0.13, 0.13, 0.14), (0.42, 0.14, 0.15), (0.20, 0.34, 0.33),
    (0.46, 0.47, 0.50), (0.62, 0.51, 0.38), (0.33, 0.42, 0.58), (0.36, 0.30, 0.44), (0.74, 0.57, 0.52),
    (0.29, 0.36, 0.24), (0.78, 0.66, 0.36),
)  # fmt: skip
FEMALE_HAIR = (
    "long",
    "long",
    "bob",
    "bob",
    "fringe",
    "fringe",
    "bun",
    "side",
    "afro",
    "crop",
    "wavy",
    "wavy",
)
MALE_HAIR = ("crop", "crop", "side", "side", "buzz", "back", "bald", "receding", "afro", "wavy", "beanie")
NECKS = ("tee", "crew", "shirt", "turtleneck", "vneck")

DETAIL_SPREAD: dict[str, float] = {
    "head-fat": 0.28, "head-scale-horiz": 0.45, "head-scale-vert": 0.18, "head-scale-depth": 0.2, "head-angle": 0.4,
    "head-age": 0.15, "nose-base": 0.22, "nose-compression": 0.3, "nose-curve": 0.35, "nose-flaring": 0.35,
    "nose-greek": 0.25, "nose-hump": 0.35, "nose-point": 0.3, "nose-point-width": 0.6, "nose-scale-depth": 0.35,
    "nose-scale-horiz": 0.4, "nose-scale-vert": 0.22, "nose-volume": 0.3, "nose-width1": 0.5, "nose-width2": 0.5,
    "nose-width3": 0.5, "nose-nostrils-width": 0.5, "nose-nostrils-angle": 0.25, "mouth-angles": 0.15,
    "mouth-cupidsbow": 0.6, "mouth-cupidsbow-width": 0.5, "mouth-lowerlip-height": 0.5, "mouth-lowerlip-volume": 0.5,
    "mouth-lowerlip-width": 0.4, "mouth-philtrum-volume": 0.3, "mouth-scale-horiz": 0.4, "mouth-scale-vert": 0.22,
    "mouth-upperlip-height": 0.5, "mouth-upperlip-volume": 0.5, "mouth-upperlip-width": 0.4, "mouth-trans": 0.15,
    "chin-bones": 0.5, "chin-height": 0.45, "chin-jaw-drop": 0.28, "chin-prognathism": 0.25, "chin-prominent": 0.5,
    "chin-width": 0.6, "chin-cleft": 0.3, "cheek-bones": 0.5, "cheek-inner": 0.4, "cheek-trans": 0.4,
    "cheek-volume": 0.5, "eye-bag": 0.2, "eye-corner1": 0.5, "eye-corner2": 0.5, "eye-epicanthus": 0.25,
    "eye-eyefold-angle": 0.5, "eye-eyefold": 0.4, "eye-height1": 0.35, "eye-height2": 0.35, "eye-height3": 0.35,
    "eye-scale": 0.4, "eye-trans": 0.2, "eyebrows-angle": 0.3, "eyebrows-trans": 0.25, "ear-lobe": 0.5,
    "ear-rot": 0.4, "ear-scale": 0.4, "ear-wing": 0.4, "ear-flap": 0.4, "forehead-nubian": 0.3,
    "forehead-scale-vert": 0.2, "forehead-temple": 0.4, "forehead-trans": 0.3, "neck-scale-horiz": 0.3,
    "neck-scale-depth": 0.3, "neck-double": 0.25,
}  # fmt: skip
"""Standard deviation of each two-sided detail weight; the sides are found in the asset by their name endings."""
SHAPES = ("head-oval", "head-round", "head-square", "head-rectangular", "head-diamond", "head-triangular",
          "head-invertedtriangular")  # fmt: skip
ENDINGS = (("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
           ("compress", "uncompress"))  # fmt: skip


@dataclass(frozen=True)
class Hair:
    """Style name, base colour (sRGB 0..1), size 0..1 (length or volume), parting side (-1 or 1), noise seed."""

    style: str
    colour: Colour
    size: float
    side: float
    wave: float
    seed: int


@dataclass(frozen=True)
class Brow:
    """Painted brows: heights are decimetres on the template head."""

    colour: Colour
    lift: float
    arch: float
    thick: float
    density: float


@dataclass(frozen=True)
class Identity:
    """One person. `morphs` weighs macro and detail targets of the head asset; colours are sRGB 0..1."""

    ancestry: str
    sex: str
    age: float
    morphs: dict[str, float]
    skin: Colour
    blush: float
    freckles: float
    iris: Colour
    lips: Colour
    lip_tint: float
    gloss: float
    lashes: float
    hair: Hair
    brow: Brow
    beard: str
    stubble: float
    neck: str
    cloth: Colour
    cloth_second: Colour

    @staticmethod
    def sample(rng: np.random.Generator) -> "Identity":
        """A plausible adult; ancestry and sex uniform, age (0 = about 20, 1 = about 75) leaning young."""
        return _sample(rng)


def _sample(rng: np.random.Generator) -> Identity:
    mix = rng.dirichlet((0.22, 0.22, 0.22))
    ancestry = ("african", "asian", "caucasian")[int(mix.argmax())]
    sex = "female" if rng.random() < 0.5 else "male"
    age = float(np.clip(rng.beta(1.2, 2.4), 0.0, 0.92))
    hair_colour = _hair_colour(rng, ancestry, age)
    hair = Hair(
        style=str(rng.choice(FEMALE_HAIR if sex == "female" else MALE_HAIR)),
        colour=hair_colour,
        size=float(rng.random()),
        side=-1.0 if rng.random() < 0.5 else 1.0,
        wave=float(rng.random()),
        seed=int(rng.integers(1 << 30)),
    )
    skin = _skin(rng, mix)
    light = float(np.mean(skin))
    painted = sex == "female" and rng.random() < 0.6
    tint: Colour = _vary(rng, (0.72, 0.24, 0.27) if rng.random() < 0.5 else (0.70, 0.36, 0.35), 0.06)
    beard = "none"
    if sex == "male":
        beard = str(
            rng.choice(("none", "none", "none", "none", "short", "short", "full", "goatee", "moustache"))
        )
    brow_colour = tuple(float(c * rng.uniform(0.55, 0.8) + 0.015) for c in hair_colour)
    return Identity(
        ancestry=ancestry,
        sex=sex,
        age=age,
        morphs=_morphs(rng, mix, sex, age),
        skin=skin,
        blush=float(rng.uniform(0.5, 1.1)),
        freckles=float(rng.uniform(0.3, 1.0)) if ancestry == "caucasian" and rng.random() < 0.25 else 0.0,
        iris=_iris(rng, ancestry),
        lips=_blend(tint, _natural_lips(skin), 1.0 - 0.6 * light) if painted else _natural_lips(skin),
        lip_tint=float(rng.uniform(0.45, 0.8)) if painted else float(rng.uniform(0.5, 0.75)),
        gloss=float(rng.uniform(0.5, 1.0)) if painted else float(rng.uniform(0.15, 0.5)),
        lashes=float(rng.uniform(0.6, 1.0)) if sex == "female" else float(rng.uniform(0.2, 0.5)),
        hair=hair,
        brow=Brow(
            colour=(brow_colour[0], brow_colour[1], brow_colour[2]),
            lift=float(rng.uniform(-0.02, 0.03)) + (0.01 if sex == "female" else -0.015),
            arch=float(rng.uniform(0.3, 1.0)) * (1.0 if sex == "female" else 0.6),
            thick=float(rng.uniform(0.7, 1.1)) * (0.85 if sex == "female" else 1.2),
            density=float(rng.uniform(0.65, 1.0)) * (0.8 if light > 0.7 else 1.0),
        ),
        beard=beard,
        stubble=float(rng.uniform(0.0, 0.55)) if sex == "male" else 0.0,
        neck=str(rng.choice(NECKS)),
        cloth=_vary(rng, CLOTHES[int(rng.integers(len(CLOTHES)))], 0.05),
        cloth_second=_vary(rng, CLOTHES[int(rng.integers(len(CLOTHES)))], 0.05),
    )


def _blend(first: Colour, second: Colour, share: float) -> Colour:
    r, g, b = (float(a * (1 - share) + c * share) for a, c in zip(first, second, strict=True))
    return r, g, b


def _vary(rng: np.random.Generator, colour: Colour, by: float) -> Colour:
    lit = rng.normal(0, by)
    r, g, b = (float(np.clip(c + lit * 0.7 + rng.normal(0, by * 0.4), 0.02, 0.97)) for c in colour)
    return r, g, b


def _skin(rng: np.random.Generator, mix: np.ndarray) -> Colour:
    total = np.zeros(3)
    for weight, palette in zip(mix, SKINS.values(), strict=True):
        at = rng.uniform(0, len(palette) - 1)
        low = int(at)
        high = min(low + 1, len(palette) - 1)
        total += weight * (np.array(palette[low]) * (1 - at + low) + np.array(palette[high]) * (at - low))
    return _vary(rng, (float(total[0]), float(total[1]), float(total[2])), 0.012)


def _natural_lips(skin: Colour) -> Colour:
    r, g, b = skin
    return (min(0.84, r * 0.90 + 0.02), g * 0.60 + 0.02, b * 0.66 + 0.03)


def _hair_colour(rng: np.random.Generator, ancestry: str, age: float) -> Colour:
    odds = {
        "african": (0.8, 0.18, 0.0, 0.02),
        "asian": (0.75, 0.23, 0.0, 0.02),
        "caucasian": (0.12, 0.46, 0.30, 0.12),
    }
    name = str(rng.choice(("black", "brown", "fair", "red"), p=odds[ancestry]))
    colour = _vary(rng, HAIRS[name][int(rng.integers(len(HAIRS[name])))], 0.02)
    grey = HAIRS["grey"][int(rng.integers(len(HAIRS["grey"])))]
    share = float(np.clip((age - 0.42) * 2.2 + rng.normal(0, 0.15), 0, 1)) if age > 0.35 else 0.0
    r, g, b = (float(c * (1 - share) + w * share) for c, w in zip(colour, grey, strict=True))
    return r, g, b


def _iris(rng: np.random.Generator, ancestry: str) -> Colour:
    dark = ("dark", "dark", "brown")
    name = str(
        rng.choice(("brown", "hazel", "green", "blue", "blue", "grey") if ancestry == "caucasian" else dark)
    )
    return _vary(rng, IRISES[name], 0.015)


def _morphs(rng: np.random.Generator, mix: np.ndarray, sex: str, age: float) -> dict[str, float]:
    """Macro weights that sum to one per axis (softened towards the other sex), then bounded details."""
    weights: dict[str, float] = {}
    other = "male" if sex == "female" else "female"
    cross = float(rng.uniform(0.0, 0.22))
    heavy = float(np.clip(rng.normal(0.0, 0.4), -0.8, 0.9))
    for who, part in ((sex, 1 - cross), (other, cross)):
        for when, share in (("young", 1 - age), ("old", age)):
            for name, weight in zip(("african", "asian", "caucasian"), mix, strict=True):
                weights[f"{name}-{who}-{when}"] = float(weight) * part * share
            end = "max" if heavy > 0 else "min"
            weights[f"universal-{who}-{when}-averagemuscle-averageweight"] = part * share * (1 - abs(heavy))
            weights[f"universal-{who}-{when}-averagemuscle-{end}weight"] = part * share * abs(heavy)
    known = detail_names()
    for stem, spread in DETAIL_SPREAD.items():
        amount = float(np.clip(rng.normal(0, spread), -1.8 * spread, 1.8 * spread))
        for low, high in ENDINGS:
            name = f"{stem}-{high if amount > 0 else low}"
            if name in known:
                weights[name] = abs(amount) * 0.6
                break
    weights[str(rng.choice(SHAPES))] = float(rng.uniform(0.0, 0.35))
    weights["mouth-angles-up"] = weights.pop("mouth-angles-down", 0.0) + 0.12
    return weights


@cache
def detail_names() -> frozenset[str]:
    """Names of the asset's detail targets."""
    return frozenset(HeadMesh.load().details)
