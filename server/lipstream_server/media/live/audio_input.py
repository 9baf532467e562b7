"""A client's audio: bytes in pieces of any size to mono samples, and mono samples to another rate.

Time is the number of samples, whatever the sizes of the pieces were.
"""

from fractions import Fraction

import av
import numpy as np

from ...protocol import AudioFormat
from ..arrays import Samples
from ..audio_frame import from_audio_frame, to_audio_frame

_EMPTY = np.zeros(0, np.float32)


class PcmDecoder:
    """Decodes bytes to mono float32 in [-1, 1].

    A piece may end in the middle of a sample: the rest is kept for the next piece. NaN and infinities become silence, values beyond
    full scale are clipped.

    Attributes:
        audio: Format of the bytes.
        repaired: Number of values that were replaced or clipped.
    """

    def __init__(self, audio: AudioFormat) -> None:
        self.audio = audio
        self.repaired = 0
        self._rest = b""

    @property
    def incomplete(self) -> int:
        """Bytes of a sample that is not complete yet."""
        return len(self._rest)

    def decode(self, piece: bytes) -> Samples:
        """Return the samples (n,) that the piece completes."""
        data = self._rest + piece
        complete = len(data) - len(data) % self.audio.sample_bytes
        self._rest = data[complete:]
        if self.audio.encoding == "s16le":
            values: Samples = np.frombuffer(data[:complete], "<i2") * np.float32(1 / 32768)
        else:
            values = self._repair(np.frombuffer(data[:complete], "<f4"))
        if self.audio.channels == 1:
            return values
        mixed: Samples = values.reshape(-1, self.audio.channels).mean(1, dtype=np.float32)
        return mixed

    def drop_incomplete(self) -> int:
        """Drop an incomplete sample; return how many bytes it had."""
        rest, self._rest = len(self._rest), b""
        return rest

    def _repair(self, values: Samples) -> Samples:
        finite = np.isfinite(values)
        repaired: Samples = np.clip(np.where(finite, values, 0), -1, 1).astype(np.float32)
        self.repaired += int(np.count_nonzero(~finite | (repaired != values)))
        return repaired


class Resampler:
    """Converts mono float32 from one rate to another, piece by piece.

    After `flush`, n samples have become exactly ceil(n * target / source).
    """

    def __init__(self, source: int, target: int) -> None:
        self.ratio = Fraction(target, source)
        self._up, self._down = self.ratio.as_integer_ratio()
        self._source = source
        self._received = self._returned = 0
        self._swr = av.AudioResampler(format="flt", layout="mono", rate=target) if source != target else None

    def push(self, samples: Samples) -> Samples:
        """Return the samples that the given ones (n,) complete; a few milliseconds wait for the next piece."""
        if not len(samples):
            return samples
        self._received += len(samples)
        if self._swr is None:
            self._returned += len(samples)
            return samples
        return self._collect(self._swr.resample(to_audio_frame(samples, self._source, "flt")))

    def flush(self) -> Samples:
        """Return the rest, cut or padded to the exact length. No samples can follow."""
        last = [] if self._swr is None or not self._received else self._swr.resample(None)
        rest = self._collect(last)
        missing = np.zeros(self._due - self._returned, np.float32)
        self._returned = self._due
        return np.concatenate([rest, missing])

    @property
    def _due(self) -> int:
        """Samples at the target rate that those received so far make."""
        return -(-self._received * self._up // self._down)

    def _collect(self, frames: list[av.AudioFrame]) -> Samples:
        samples = np.concatenate([_EMPTY, *map(from_audio_frame, frames)])[: self._due - self._returned]
        self._returned += len(samples)
        return samples
