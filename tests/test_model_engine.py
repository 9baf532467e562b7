"""The server's seam over the real engine, with a small random model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipstream_models.audio import context_windows
from lipstream_models.autoencoder import Autoencoder
from lipstream_models.bundled import load_bundled, save_bundled
from lipstream_models.model import SamplingDefaults
from lipstream_models.networks import Network
from lipstream_server.engine import Request, UnknownAvatarError, UnknownPresetError
from lipstream_server.model_engine import ModelEngine, ModelSettings, ModelStream
from test_engine import AUTOENCODER, NETWORK


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> ModelEngine:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    defaults = SamplingDefaults(steps=2, guidance=2.0, window=4)
    save_bundled(path, Network(NETWORK), Autoencoder(AUTOENCODER), defaults, spread=1.5)
    return ModelEngine(load_bundled(dtype=torch.float32, path=path), ModelSettings(idle_windows=1))


class Listening:
    """Keeps the windows of features that the engine is given."""

    def __init__(self, engine: object) -> None:
        self.engine, self.windows = engine, []

    def generate(self, requests: list) -> list:
        self.windows += [window for _, window in requests]
        return self.engine.generate(requests)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)


def test_windows_of_a_stream_hear_what_the_whole_recording_gives(
    engine: ModelEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = Listening(engine._engine)
    monkeypatch.setattr(engine, "_engine", listening)
    audio = np.random.default_rng(0).normal(size=640 * 14).astype(np.float32) * 0.1
    opened = engine.open(engine.avatars[0], "base")
    assert opened.idle.shape == (4, *engine.size, 3)
    listening.windows.clear()
    stream, given, start = opened.stream, 0, 0
    for frames in (4, 8, 4, 4):  # the last reaches past the end
        needed = engine.samples_needed(start + frames)
        samples = audio[given:needed]
        made = engine.generate([Request(stream, samples, start, frames, needed >= len(audio))])[0]
        assert made.frames.shape == (frames, *engine.size, 3)
        stream, given, start = made.stream, given + len(samples), start + frames
    silence = np.zeros(640 * 20, np.float32)
    rows = engine._engine.model.audio.offline(np.concatenate([audio, silence]))
    expected = context_windows(rows)[:20]
    np.testing.assert_allclose(np.concatenate(listening.windows), expected, atol=1e-5)
    assert isinstance(opened.stream, ModelStream)
    assert opened.stream.hearing is None  # a value: what follows an utterance begins there again


def test_no_sample_less_will_do(engine: ModelEngine) -> None:
    grid = engine._ears.grid
    for rows in range(1, 20):
        for samples, there in ((grid.samples_for(rows), True), (grid.samples_for(rows) - 1, False)):
            assert (len(engine._ears.stream().push(np.zeros(samples, np.float32))) >= rows) is there


def test_frames_may_be_skipped_and_missing_audio_is_refused(engine: ModelEngine) -> None:
    opened = engine.open(engine.avatars[0], "base")
    audio = np.zeros(engine.samples_needed(12), np.float32)
    made = engine.generate([Request(opened.stream, audio, 8, 4, False)])[0]
    assert len(made.frames) == 4
    with pytest.raises(ValueError, match="samples are missing"):
        engine.generate([Request(replace(opened.stream), audio[:-1], 8, 4, False)])


def test_names_that_are_not_there_are_refused(engine: ModelEngine) -> None:
    with pytest.raises(UnknownAvatarError, match="no avatar 'nobody', only amara"):
        engine.open("nobody", "base")
    with pytest.raises(UnknownPresetError, match="no preset 'warp', only realtime"):
        engine.open(engine.avatars[0], "warp")


def test_a_file_of_a_model_that_is_none_is_named(tmp_path: Path) -> None:
    from lipstream_server.model_engine import load_engine

    with pytest.raises(ValueError, match=str(tmp_path)):
        load_engine(ModelSettings(model=tmp_path))
