"""Draw the speech and animation of clips, and print the label lag of voices.

python -m lipstream_training.reports.speech_report --out FILE.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..motion.animation import Animation, frame_times
from ..motion.gestures import FPS
from ..motion.script import make_clip
from ..speech.alignment import label_lags
from ..speech.phones import SILENCE, Speech, SpeechError
from ..speech.recordings import librivox_sentences
from ..speech.sentences import written_sentences
from ..speech.voices import HELDOUT_VOICES, TRAIN_VOICES, synthesise

WIDTH, WAVEFORM_HEIGHT, ROW_HEIGHT, LABEL_HEIGHT, GAP = 1800, 90, 60, 18, 6
"""Pixels of the drawing."""
TRACKS = (
    ("jawOpen", "mouthClose"),
    ("mouthPressLeft", "mouthRollLower"),
    ("mouthPucker", "mouthFunnel"),
    ("mouthSmileLeft", "mouthStretchLeft"),
    ("eyeBlinkLeft", "browInnerUp"),
)
"""Pairs of blendshapes that share a row."""
COLOURS = ((200, 40, 40), (40, 80, 200))


def draw_clip(speech: Speech, animation: Animation) -> Image.Image:
    """Return a drawing of the waveform with its phones, and of pairs of tracks.

    Red lines mark closures, grey ones every 0.2 s.
    """
    height = WAVEFORM_HEIGHT + LABEL_HEIGHT + ROW_HEIGHT * (len(TRACKS) + 1)
    image = Image.new("RGB", (WIDTH, height), "white")
    pen = ImageDraw.Draw(image)
    seconds = speech.seconds
    for tick in np.arange(0, seconds, 0.2):
        pen.line([(tick / seconds * WIDTH, 0), (tick / seconds * WIDTH, height)], fill=(225, 225, 225))
    for frame in animation.closures:
        x = (frame + 0.5) / FPS / seconds * WIDTH
        pen.line([(x, 0), (x, height)], fill=(255, 170, 170))
    _draw_waveform(pen, speech)
    for phone in speech.phones:
        x = phone.start / seconds * WIDTH
        pen.line([(x, WAVEFORM_HEIGHT), (x, WAVEFORM_HEIGHT + 14)], fill="grey")
        if phone.symbol != SILENCE:
            pen.text((x + 2, WAVEFORM_HEIGHT + 1), phone.symbol, fill="black")
    positions = frame_times(len(animation.blendshapes)) / seconds
    for row, names in enumerate(TRACKS):
        top = WAVEFORM_HEIGHT + LABEL_HEIGHT + row * ROW_HEIGHT
        for name, colour in zip(names, COLOURS, strict=True):
            _draw_track(pen, positions, animation.track(name), top, colour, name)
    top = WAVEFORM_HEIGHT + LABEL_HEIGHT + len(TRACKS) * ROW_HEIGHT
    for column, (name, colour) in enumerate(zip(("yaw", "pitch"), COLOURS, strict=True)):
        _draw_track(pen, positions, 0.5 + 5 * animation.head_rotation[:, column], top, colour, name)
    pen.text((4, 2), speech.voice, fill="black")
    return image


def _draw_waveform(pen: ImageDraw.ImageDraw, speech: Speech) -> None:
    columns = np.array_split(speech.audio, WIDTH)
    for x, piece in enumerate(columns):
        low, high = (WAVEFORM_HEIGHT / 2 * (1 - float(v)) for v in (piece.min(), piece.max()))
        pen.line([(x, min(low, high)), (x, max(low, high))], fill=(90, 140, 90))


def _draw_track(
    pen: ImageDraw.ImageDraw,
    positions: NDArray[np.float64],
    values: NDArray[np.float32],
    top: int,
    colour: tuple[int, int, int],
    name: str,
) -> None:
    """Draw values (T,) at relative positions (T,) into a row."""
    pen.line([(0, top + ROW_HEIGHT - 2), (WIDTH, top + ROW_HEIGHT - 2)], fill="lightgrey")
    points = [
        (float(x) * WIDTH, top + (ROW_HEIGHT - 4) * (1 - float(v)) + 2)
        for x, v in zip(positions, values, strict=True)
    ]
    pen.line(points, fill=colour, width=2)
    for x, y in points:
        pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
    pen.text((4 + (120 if colour == COLOURS[1] else 0), top), name, fill=colour)


def lag_line(voice: str, sentences: int) -> str:
    """Return one line with a voice's label lag, or the reason why the voice cannot be used."""
    try:
        rng = np.random.default_rng(0)
        texts = written_sentences("train")[:sentences]
        speeches = (
            librivox_sentences() if voice == "librivox" else [synthesise(text, voice, rng) for text in texts]
        )
    except SpeechError as error:
        return f"{voice:26} {error}"
    lag = label_lags(speeches)
    return f"{voice:26} {lag.vowels:8.1f} {lag.sibilants:9.1f} {lag.closures:8.1f} {lag.count:6}"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Draw the speech and animation of clips.")
    parser.add_argument("--out", type=Path, required=True, help="Image file to write.")
    parser.add_argument(
        "--voices",
        nargs="*",
        default=["hibari", "joe", "flite:rms", "espeak:en-us+m3", "librivox"],
        help="Voices of the clips, one each.",
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="Seconds of a clip.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the clips.")
    parser.add_argument(
        "--sentences", type=int, default=24, help="Sentences per voice to measure the lag on; 0 for no table."
    )
    arguments = parser.parse_args()
    images = []
    for voice in arguments.voices:
        split = "train" if voice in TRAIN_VOICES else "heldout"
        images.append(draw_clip(*make_clip(arguments.seed, arguments.seconds, split, voice)))
    sheet = Image.new("RGB", (WIDTH, sum(image.height + GAP for image in images)), "black")
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height + GAP
    sheet.save(arguments.out)
    if arguments.sentences:
        print(f"{'audio after label, ms':26} {'vowels':>8} {'sibilants':>9} {'closures':>8} {'count':>6}")
        for voice in [*TRAIN_VOICES, *HELDOUT_VOICES]:
            print(lag_line(voice, arguments.sentences), flush=True)


if __name__ == "__main__":
    main()
