"""Samples pass through FFmpeg's frames as they are."""

import av
import numpy as np
import pytest

from lipstream_server.media.audio_frame import SampleFormat, from_audio_frame, to_audio_frame


@pytest.mark.parametrize("kind", ["flt", "fltp"])
@pytest.mark.parametrize("count", [1, 7, 640, 641, 48_000])
def test_samples_come_back(count: int, kind: SampleFormat) -> None:
    samples = np.random.default_rng(count).uniform(-1, 1, count).astype(np.float32)
    frame = to_audio_frame(samples, 16_000, kind)
    assert (frame.samples, frame.sample_rate) == (count, 16_000)
    assert np.array_equal(from_audio_frame(frame), samples)


def test_samples_of_any_layout_are_what_pyav_makes_of_them() -> None:
    every_other = np.linspace(-1, 1, 1000)[::2]
    usual = av.AudioFrame.from_ndarray(every_other.astype(np.float32)[None], format="flt", layout="mono")
    assert np.array_equal(from_audio_frame(to_audio_frame(every_other, 48_000, "flt")), usual.to_ndarray()[0])


def test_samples_stay_when_their_frame_is_forgotten() -> None:
    kept = [
        from_audio_frame(to_audio_frame(np.full(999, level, np.float32), 48_000, "flt"))
        for level in range(50)
    ]
    assert [float(samples.mean()) for samples in kept] == list(range(50))
