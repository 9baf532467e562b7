"""Draws clips, prints voices' label lag: `python -m lipstream_training.reports.speech_report --out FILE.png`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..motion.animation import Animation, frame_times
from ..motion.gestures import FPS
from ..motion.script import make_clip
from ..speech.alignment import lags
from ..speech.phones import SILENCE, Speech, SpeechError
from ..speech.recordings import librivox_sentences
from ..speech.sentences import written_sentences
from ..speech.voices import HELDOUT_VOICES, TRAIN_VOICES, speak

WIDTH, WAVE, ROW = 1800, 90, 60
TRACKS = (
    ("jawOpen", "mouthClose"),
    ("mouthPressLeft", "mouthRollLower"),
    ("mouthPucker", "mouthFunnel"),
    ("mouthSmileLeft", "mouthStretchLeft"),
    ("eyeBlinkLeft", "browInnerUp"),
)
INKS = ((200, 40, 40), (40, 80, 200))


def draw_clip(speech: Speech, animation: Animation) -> Image.Image:
    """Waveform with phones, then pairs of tracks; red lines stand at closures, grey ones every 0.2 s."""
    height = WAVE + 18 + ROW * (len(TRACKS) + 1)
    picture = Image.new("RGB", (WIDTH, height), "white")
    pen = ImageDraw.Draw(picture)
    seconds = speech.seconds
    for tick in np.arange(0, seconds, 0.2):
        pen.line([(tick / seconds * WIDTH, 0), (tick / seconds * WIDTH, height)], fill=(225, 225, 225))
    for frame in animation.closures:
        x = (frame + 0.5) / FPS / seconds * WIDTH
        pen.line([(x, 0), (x, height)], fill=(255, 170, 170))
    _draw_wave(pen, speech)
    for phone in speech.phones:
        x = phone.start / seconds * WIDTH
        pen.line([(x, WAVE), (x, WAVE + 14)], fill="grey")
        if phone.symbol != SILENCE:
            pen.text((x + 2, WAVE + 1), phone.symbol, fill="black")
    times = frame_times(len(animation.blendshapes))
    for row, names in enumerate(TRACKS):
        for name, ink in zip(names, INKS, strict=True):
            _draw_track(pen, times / seconds, animation.track(name), WAVE + 18 + row * ROW, ink, name)
    top = WAVE + 18 + len(TRACKS) * ROW
    for column, (name, ink) in enumerate(zip(("yaw", "pitch"), INKS, strict=True)):
        _draw_track(pen, times / seconds, 0.5 + 5 * animation.head_rotation[:, column], top, ink, name)
    pen.text((4, 2), speech.voice, fill="black")
    return picture


def _draw_wave(pen: ImageDraw.ImageDraw, speech: Speech) -> None:
    columns = np.array_split(speech.audio, WIDTH)
    for x, piece in enumerate(columns):
        low, high = (WAVE / 2 * (1 - float(v)) for v in (piece.min(), piece.max()))
        pen.line([(x, min(low, high)), (x, max(low, high))], fill=(90, 140, 90))


def _draw_track(
    pen: ImageDraw.ImageDraw,
    places: NDArray[np.float64],
    values: NDArray[np.float32],
    top: int,
    ink: tuple[int, int, int],
    name: str,
) -> None:
    pen.line([(0, top + ROW - 2), (WIDTH, top + ROW - 2)], fill="lightgrey")
    points = [
        (float(x) * WIDTH, top + (ROW - 4) * (1 - float(v)) + 2) for x, v in zip(places, values, strict=True)
    ]
    pen.line(points, fill=ink, width=2)
    for x, y in points:
        pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=ink)
    pen.text((4 + (120 if ink == INKS[1] else 0), top), name, fill=ink)


def measure(voice: str, sentences: int) -> str:
    """One line: the voice's label lag, or why it cannot be heard here."""
    try:
        rng = np.random.default_rng(0)
        texts = written_sentences("train")[:sentences]
        speeches = (
            librivox_sentences() if voice == "librivox" else [speak(text, voice, rng) for text in texts]
        )
    except SpeechError as error:
        return f"{voice:26} {error}"
    found = lags(speeches)
    return f"{voice:26} {found.vowels:8.1f} {found.hisses:8.1f} {found.closures:8.1f} {found.count:6}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--voices", nargs="*", default=["hibari", "joe", "flite:rms", "espeak:en-us+m3", "librivox"]
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--sentences", type=int, default=24, help="sentences a voice for the lag; 0 to leave it out"
    )
    arguments = parser.parse_args()
    pictures = []
    for voice in arguments.voices:
        split = "train" if voice in TRAIN_VOICES else "heldout"
        pictures.append(draw_clip(*make_clip(arguments.seed, arguments.seconds, split, voice)))
    sheet = Image.new("RGB", (WIDTH, sum(picture.height + 6 for picture in pictures)), "black")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height + 6
    sheet.save(arguments.out)
    if arguments.sentences:
        print(f"{'sound after label, ms':26} {'vowels':>8} {'hisses':>8} {'closures':>8} {'count':>6}")
        for voice in [*TRAIN_VOICES, *HELDOUT_VOICES]:
            print(measure(voice, arguments.sentences), flush=True)


if __name__ == "__main__":
    main()
