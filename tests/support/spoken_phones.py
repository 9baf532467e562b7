"""Speech whose phones are written by hand, so that no synthesiser is needed."""

import numpy as np

from lipstream_training.speech.phones import (
    SAMPLE_RATE,
    SILENCE,
    Phone,
    Speech,
)


def spoken(*phones: tuple[str, float], before: float = 0.4, after: float = 0.4) -> Speech:
    """Return phones (symbol, seconds) between two silences, with a steady hum while they last."""
    lengths = [(SILENCE, before), *phones, (SILENCE, after)]
    ends = np.cumsum([length for _, length in lengths])
    starts = [0.0, *ends[:-1]]
    timed = tuple(
        Phone(symbol, float(start), float(end))
        for (symbol, _), start, end in zip(lengths, starts, ends, strict=True)
    )
    times = np.arange(round(float(ends[-1]) * SAMPLE_RATE)) / SAMPLE_RATE
    audio = 0.3 * np.sin(2 * np.pi * 150 * times) * ((times > before) & (times < float(ends[-2])))
    return Speech(audio.astype(np.float32), timed, "by hand")
