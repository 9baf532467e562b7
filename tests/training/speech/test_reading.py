"""The bundled recording of a human voice."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lipstream_training.speech.phones import SAMPLE_RATE
from lipstream_training.speech.reading import bundled_reading, save_flac
from lipstream_training.speech.recordings import FOLDER


@pytest.mark.skipif(not FOLDER.is_dir(), reason="pocketsphinx-testdata is not installed")
@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="av is not installed")
def test_reading_is_written_as_flac(tmp_path: Path) -> None:
    import av

    audio = bundled_reading()
    assert 10 < len(audio) / SAMPLE_RATE < 13
    save_flac(tmp_path / "reading.flac", audio)
    with av.open(str(tmp_path / "reading.flac")) as container:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    np.testing.assert_allclose(decoded / 32767, audio, atol=1 / 32767)
