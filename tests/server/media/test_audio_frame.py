"""Samples pass through FFmpeg's audio frames unchanged."""

import av
import numpy as np
import pytest

from lipstream_server.media.audio_frame import SampleFormat, from_audio_frame, to_audio_frame


@pytest.mark.parametrize("sample_format", ["flt", "fltp"])
@pytest.mark.parametrize("count", [1, 7, 640, 641, 48_000])
def test_samples_survive_a_round_trip(count: int, sample_format: SampleFormat) -> None:
    samples = np.random.default_rng(count).uniform(-1, 1, count).astype(np.float32)
    frame = to_audio_frame(samples, 16_000, sample_format)
    assert (frame.samples, frame.sample_rate) == (count, 16_000)
    assert np.array_equal(from_audio_frame(frame), samples)


def test_strided_samples_equal_those_of_pyav() -> None:
    every_other = np.linspace(-1, 1, 1000)[::2]
    expected = av.AudioFrame.from_ndarray(every_other.astype(np.float32)[None], format="flt", layout="mono")
    assert np.array_equal(
        from_audio_frame(to_audio_frame(every_other, 48_000, "flt")), expected.to_ndarray()[0]
    )


def test_samples_outlive_their_frame() -> None:
    views = [
        from_audio_frame(to_audio_frame(np.full(999, level, np.float32), 48_000, "flt"))
        for level in range(50)
    ]
    assert [float(samples.mean()) for samples in views] == list(range(50))
