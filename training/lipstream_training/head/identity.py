"""The appearance of a rendered person: face shape, colours, hair and clothes, sampled from a seed."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from .colours import (
    blend,
    iris_colour,
    natural_lips,
    random_hair_colour,
    skin_colour,
    vary,
)
from .head_mesh import HeadMesh
from .palette import (
    CLOTHES,
    DETAIL_SPREAD,
    ENDINGS,
    FEMALE_HAIR,
    MALE_HAIR,
    NECKS,
    SHAPES,
    Colour,
)


@dataclass(frozen=True)
class Hair:
    """A person's hair.

    Attributes:
        style: A key of `hair.STYLES`.
        colour: sRGB.
        size: Length or volume in [0, 1].
        side: Side of the parting, -1 or 1.
        wave: Waviness in [0, 1].
        seed: Seed of the locks.
    """

    style: str
    colour: Colour
    size: float
    side: float
    wave: float
    seed: int


@dataclass(frozen=True)
class Brow:
    """Painted brows.

    Attributes:
        colour: sRGB.
        lift: Height above the usual one, in decimetres on the template head.
        arch: Factor on the curvature.
        thick: Factor on the thickness.
        density: Opacity in [0, 1].
    """

    colour: Colour
    lift: float
    arch: float
    thick: float
    density: float


@dataclass(frozen=True)
class PersonIdentity:
    """A person; colours are sRGB in [0, 1].

    Attributes:
        ancestry: "african", "asian" or "caucasian": that of the largest share.
        sex: "female" or "male".
        age: 0 (about 20 years) to 1 (about 75).
        morphs: Weights of macro and detail targets of the head asset.
        skin: Colour of the skin.
        blush: Strength of the redder areas of the skin.
        freckles: Strength of freckles, 0 for none.
        iris: Colour of the irises.
        lips: Colour of the lips.
        lip_tint: Opacity of that colour.
        gloss: Gloss of the lips.
        lashes: Opacity of the lashes.
        hair: The hair.
        brow: The brows.
        beard: A key of `figure.BEARDS`.
        stubble: Density of stubble in [0, 1].
        neck: A key of `figure.NECKLINES`.
        cloth: Colour of the cloth.
        cloth_second: Colour of its band, or of a hat.
    """

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
    def sample(rng: np.random.Generator) -> "PersonIdentity":
        """Return a random adult; ancestry and sex are uniform, young ages more likely."""
        return _sample_person(rng)


def _sample_person(rng: np.random.Generator) -> PersonIdentity:
    mix = rng.dirichlet((0.22, 0.22, 0.22))
    ancestry = ("african", "asian", "caucasian")[int(mix.argmax())]
    sex = "female" if rng.random() < 0.5 else "male"
    age = float(np.clip(rng.beta(1.2, 2.4), 0.0, 0.92))
    hair_colour = random_hair_colour(rng, ancestry, age)
    hair = Hair(
        style=str(rng.choice(FEMALE_HAIR if sex == "female" else MALE_HAIR)),
        colour=hair_colour,
        size=float(rng.random()),
        side=-1.0 if rng.random() < 0.5 else 1.0,
        wave=float(rng.random()),
        seed=int(rng.integers(1 << 30)),
    )
    skin = skin_colour(rng, mix)
    light = float(np.mean(skin))
    painted = sex == "female" and rng.random() < 0.6
    tint: Colour = vary(rng, (0.72, 0.24, 0.27) if rng.random() < 0.5 else (0.70, 0.36, 0.35), 0.06)
    beard = "none"
    if sex == "male":
        beard = str(
            rng.choice(("none", "none", "none", "none", "short", "short", "full", "goatee", "moustache"))
        )
    brow_colour = tuple(float(c * rng.uniform(0.55, 0.8) + 0.015) for c in hair_colour)
    return PersonIdentity(
        ancestry=ancestry,
        sex=sex,
        age=age,
        morphs=_morphs(rng, mix, sex, age),
        skin=skin,
        blush=float(rng.uniform(0.5, 1.1)),
        freckles=float(rng.uniform(0.15, 0.5)) if ancestry == "caucasian" and rng.random() < 0.25 else 0.0,
        iris=iris_colour(rng, ancestry),
        lips=blend(tint, natural_lips(skin), 1.0 - 0.6 * light) if painted else natural_lips(skin),
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
        cloth=vary(rng, CLOTHES[int(rng.integers(len(CLOTHES)))], 0.05),
        cloth_second=vary(rng, CLOTHES[int(rng.integers(len(CLOTHES)))], 0.05),
    )


def _morphs(rng: np.random.Generator, mix: np.ndarray, sex: str, age: float) -> dict[str, float]:
    """Return weights of macro targets, which sum to one along each axis, and of details, which are bounded.

    Args:
        rng: Random generator.
        mix: (3,) ancestry shares.
        sex: The sex; the other one gets a small share.
        age: The age in [0, 1].
    """
    weights: dict[str, float] = {}
    other = "male" if sex == "female" else "female"
    cross = float(rng.uniform(0.0, 0.22))
    heavy = float(np.clip(rng.normal(0.0, 0.4), -0.8, 0.9))
    for which, part in ((sex, 1 - cross), (other, cross)):
        for when, share in (("young", 1 - age), ("old", age)):
            for name, weight in zip(("african", "asian", "caucasian"), mix, strict=True):
                weights[f"{name}-{which}-{when}"] = float(weight) * part * share
            end = "max" if heavy > 0 else "min"
            weights[f"universal-{which}-{when}-averagemuscle-averageweight"] = part * share * (1 - abs(heavy))
            weights[f"universal-{which}-{when}-averagemuscle-{end}weight"] = part * share * abs(heavy)
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
    """Return the names of the asset's detail targets."""
    return frozenset(HeadMesh.load().details)
