"""The sentences of the synthetic voices: written for this project, rich in lip sounds, with a fixed split."""

from __future__ import annotations

import functools
import importlib.resources

import numpy as np

from .phones import SpeechError

PARTS: tuple[tuple[str, ...], ...] = (
    (
        "my mother|a brave woman|the baker|Peter|our new boss|Fiona|the whole village|some people|both boys",
        "Mrs Webb|the old chef|Joe|a few farmers|their father|Maria|this young poet|every member of the band",
    ),
    (
        "bought|moved|loved|measured|found|washed|opened|remembered|chose|watched|believed in|threw away",
        "paid for|looked at|painted|brought back|shared|wrapped up|wished for|broke",
    ),
    (
        "a blue boat|the big map|five warm pies|that wooden chair|a very old violin|the shiny shoes",
        "two thousand apples|a bowl of soup|the broken jar|a white feather|the poppies|some fresh bread",
        "the wrong phone|a thick book|the marble vase|three fish|a pump|the mouse house|a soft pillow",
    ),
    (
        "before breakfast|on the fourth of May|for fun|above the shop|by the river|without a word",
        "twice a week|in the early morning|after a while|from the beginning|at half past four",
        "because of the rain|with both hands|in a fishing village|to help us out|for his wife",
    ),
)
"""Subjects, verbs, objects and adverbials, which combine to several hundred thousand training sentences."""
NUMBERED = ("Number", "Page", "Room", "Line", "Bus", "Platform")
COMBINED_SHARE, NUMBERED_SHARE = 0.25, 0.07
"""Shares of training sentences that are combined from `PARTS`, and of short announcements with a number."""


@functools.cache
def written_sentences(split: str) -> tuple[str, ...]:
    """Return the written sentences of a split, "train" or "heldout"; none is in both.

    Raises:
        SpeechError: There is no such split.
    """
    if split not in ("train", "heldout"):
        raise SpeechError(f"expected the split train or heldout, got {split!r}")
    path = importlib.resources.files("lipstream_training") / "assets" / f"sentences_{split}.txt"
    return tuple(line for line in path.read_text("utf-8").splitlines() if line)


def random_sentence(split: str, rng: np.random.Generator) -> str:
    """Return a random sentence: a written one or, in training, sometimes a combined or numbered one."""
    kind = float(rng.random()) if split == "train" else 1.0
    if kind < COMBINED_SHARE:
        words = " ".join(_choice("|".join(rows).split("|"), rng) for rows in PARTS)
        return words[0].upper() + words[1:] + "."
    if kind < COMBINED_SHARE + NUMBERED_SHARE:
        return f"{_choice(NUMBERED, rng)} {int(rng.integers(1, 10000))}."
    return _choice(written_sentences(split), rng)


def _choice(options: tuple[str, ...] | list[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
