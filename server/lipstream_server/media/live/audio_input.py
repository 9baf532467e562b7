"""A client's audio: bytes in pieces of any size to mono samples, and mono samples to another rate.

Time is the number of samples, whatever the sizes of the pieces were.
"""

from fractions import Fraction

import av
import numpy as np

from ...protocol import AudioFormat
from ..arrays import (
    Samples,
)
from ..audio_frame import from_audio_frame, to_audio_frame

_NOTHING = np.zeros(0, np.float32)


class PcmDecoder:
    """Bytes to mono float32 in [-1, 1].

    A piece may end in the middle of a sample: the rest is kept for the next piece. NaN and infinities become silence, what is
    louder than full scale is clipped, and `repaired` counts both.
    """

    def __init__(self, audio: AudioFormat) -> None:
        self.audio = audio
        self.repaired = 0
        self._rest = b""

    @property
    def incomplete(self) -> int:
        """Bytes of a sample that has not come whole."""
        return len(self._rest)

    def decode(self, piece: bytes) -> Samples:
        """The samples (n,) that the piece completes."""
        data = self._rest + piece
        whole = len(data) - len(data) % self.audio.sample_bytes
        self._rest = data[whole:]
        if self.audio.encoding == "s16le":
            values: Samples = np.frombuffer(data[:whole], "<i2") * np.float32(1 / 32768)
        else:
            values = self._repair(np.frombuffer(data[:whole], "<f4"))
        if self.audio.channels == 1:
            return values
        mixed: Samples = values.reshape(-1, self.audio.channels).mean(1, dtype=np.float32)
        return mixed

    def drop_incomplete(self) -> int:
        """Forget an incomplete sample; returns how many bytes that were."""
        rest, self._rest = len(self._rest), b""
        return rest

    def _repair(self, values: Samples) -> Samples:
        finite = np.isfinite(values)
        good: Samples = np.clip(np.where(finite, values, 0), -1, 1).astype(np.float32)
        self.repaired += int(np.count_nonzero(~finite | (good != values)))
        return good


class Resampler:
    """Mono float32 from one rate to another, piece by piece: after `flush`, n samples have become ceil(n * target / source)."""

    def __init__(self, source: int, target: int) -> None:
        self.ratio = Fraction(target, source)
        self._up, self._down = self.ratio.as_integer_ratio()
        self._source = source
        self._heard = self._given = 0
        self._swr = av.AudioResampler(format="flt", layout="mono", rate=target) if source != target else None

    def push(self, samples: Samples) -> Samples:
        """(n,) in, the samples out that they complete; a few milliseconds wait for the next piece."""
        if not len(samples):
            return samples
        self._heard += len(samples)
        if self._swr is None:
            self._given += len(samples)
            return samples
        return self._take(self._swr.resample(to_audio_frame(samples, self._source, "flt")), self._due)

    def flush(self) -> Samples:
        """What is left, cut or filled up to the exact length. The resampler is at its end then."""
        last = [] if self._swr is None or not self._heard else self._swr.resample(None)
        rest = self._take(last, self._due)
        missing = np.zeros(self._due - self._given, np.float32)
        self._given = self._due
        return np.concatenate([rest, missing])

    @property
    def _due(self) -> int:
        return -(-self._heard * self._up // self._down)

    def _take(self, frames: list[av.AudioFrame], due: int) -> Samples:
        out = np.concatenate([_NOTHING, *map(from_audio_frame, frames)])[: due - self._given]
        self._given += len(out)
        return out
