"""ModelEngine with a small random model."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from portraits import (
    astronaut,
    encoded,
    landscape,
    pixels,
)
from small_model import AUTOENCODER, NETWORK

from lipstream_accel.plan_json import plan_to_json
from lipstream_accel.presets import preset
from lipstream_models.audio.features import FeatureConfig
from lipstream_models.audio.windows import context_windows
from lipstream_models.autoencoders.patch_autoencoder import Autoencoder
from lipstream_models.bundled import load_bundled, save_bundled
from lipstream_models.model import SamplingDefaults
from lipstream_models.networks import Network
from lipstream_server.engines.base import (
    OutOfMemoryError,
    PortraitError,
    UnknownAvatarError,
    UnknownPresetError,
    WindowRequest,
)
from lipstream_server.engines.model import ModelEngine
from lipstream_server.engines.model_loader import load_engine
from lipstream_server.engines.model_settings import ModelSettings
from lipstream_server.engines.model_stream import ModelStream
from lipstream_server.media.live.audio_input import Resampler


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> ModelEngine:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    defaults = SamplingDefaults(steps=2, guidance=2.0, window=4)
    save_bundled(path, Network(NETWORK), Autoencoder(AUTOENCODER), defaults, residual_scale=1.5)
    return ModelEngine(load_bundled(dtype=torch.float32, path=path), ModelSettings(idle_windows=1))


class RecordingPipeline:
    """Records the windows of features that a pipeline is sent."""

    def __init__(self, engine: object) -> None:
        self.engine, self.windows = engine, []

    def generate_windows(self, requests: list, watch: object) -> list:
        self.windows += [window for _, window in requests]
        return self.engine.generate_windows(requests, watch)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("frames", [4, 12])
def test_window_is_complete_with_the_piece_that_ends_with_it(
    engine: ModelEngine, frames: int, rate: int
) -> None:
    """Live audio comes in pieces of one frame, and a resampler holds the end of each back: no further piece is needed."""
    needed = engine.samples_needed(frames)
    pieces = -(-needed // 640)
    resampler = Resampler(rate, 16_000)
    samples = sum(len(resampler.push(np.zeros(rate // 25, np.float32))) for _ in range(pieces))
    assert samples >= needed
    assert pieces == frames + 2 + FeatureConfig().right


def test_windows_of_a_stream_get_the_features_of_the_whole_recording(
    engine: ModelEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = RecordingPipeline(engine._pipeline)
    monkeypatch.setattr(engine, "_pipeline", recording)
    audio = np.random.default_rng(0).normal(size=640 * 14).astype(np.float32) * 0.1
    opened = engine.open(engine.avatars[0], "base")
    assert opened.idle.shape == (4, *engine.size, 3)
    recording.windows.clear()
    stream, sent, start = opened.stream, 0, 0
    for frames in (4, 8, 4, 4):  # the last reaches past the end
        needed = engine.samples_needed(start + frames)
        samples = audio[sent:needed]
        result = engine.generate([WindowRequest(stream, samples, start, frames, needed >= len(audio))])[0]
        assert result.frames.shape == (frames, *engine.size, 3)
        stream, sent, start = result.stream, sent + len(samples), start + frames
    silence = np.zeros(640 * 20, np.float32)
    rows = engine._pipeline.model.audio.offline(np.concatenate([audio, silence]))
    expected = context_windows(rows)[:20]
    np.testing.assert_allclose(np.concatenate(recording.windows), expected, atol=1e-5)
    assert isinstance(opened.stream, ModelStream)
    assert opened.stream.audio is None  # immutable: the next utterance begins there again


def test_stream_snapshot_continues_in_another_engine_with_equal_frames(engine: ModelEngine) -> None:
    """As after the death of a process: only bytes pass from one engine to the other."""
    other = ModelEngine(engine._pipeline.model, ModelSettings(idle_windows=1))
    image = engine.decode_image(encoded(astronaut(), "PNG"))
    engine.register("someone", image)
    audio = np.random.default_rng(1).normal(size=640 * 40).astype(np.float32) * 0.1
    stream, sent = engine.create_stream("someone", "base", 5), 0
    other.restore_avatar("someone", engine.snapshot_avatar("someone"))
    for start in (0, 4, 8):
        needed = engine.samples_needed(start + 4)
        snapshot = engine.snapshot_stream(stream)
        request = WindowRequest(stream, audio[sent:needed], start, 4, False)
        result = engine.generate([request])[0]
        restored = other.restore_stream(snapshot)
        assert restored.batch_key == stream.batch_key
        again = other.generate([replace(request, stream=restored)])[0]
        np.testing.assert_array_equal(again.frames, result.frames)
        stream, sent = result.stream, needed
    first, second = (other.restore_stream(snapshot).state.session for _ in range(2))
    assert first is second  # large conditions are shared
    engine.unregister("someone")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), "too much for the CPU"],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_is_one_error_on_every_backend(
    engine: ModelEngine, monkeypatch: pytest.MonkeyPatch, error: Exception | str
) -> None:
    def full(*_: object) -> None:
        if isinstance(error, Exception):
            raise error
        torch.empty(2**60)

    stream = engine.create_stream("amara", "base", 0)
    request = WindowRequest(stream, np.zeros(engine.samples_needed(4), np.float32), 0, 4, False)
    monkeypatch.setattr(engine._pipeline, "generate_windows", full)
    with pytest.raises(OutOfMemoryError, match="no room for 1 windows of 4 frames"):
        engine.generate([request])


def test_samples_needed_is_exact(engine: ModelEngine) -> None:
    grid = engine._audio_encoder.grid
    for rows in range(1, 20):
        for samples, there in ((grid.samples_for(rows), True), (grid.samples_for(rows) - 1, False)):
            assert (len(engine._audio_encoder.stream().push(np.zeros(samples, np.float32))) >= rows) is there


def test_frames_may_be_skipped_and_missing_audio_is_refused(engine: ModelEngine) -> None:
    opened = engine.open(engine.avatars[0], "base")
    audio = np.zeros(engine.samples_needed(12), np.float32)
    result = engine.generate([WindowRequest(opened.stream, audio, 8, 4, False)])[0]
    assert len(result.frames) == 4
    with pytest.raises(ValueError, match="samples are missing"):
        engine.generate([WindowRequest(replace(opened.stream), audio[:-1], 8, 4, False)])


def test_unknown_avatars_and_presets_are_refused(engine: ModelEngine) -> None:
    with pytest.raises(UnknownAvatarError, match="no avatar 'nobody', only amara"):
        engine.open("nobody", "base")
    with pytest.raises(UnknownPresetError, match="no preset 'warp', only realtime"):
        engine.open(engine.avatars[0], "warp")


def test_loading_error_names_the_directory(tmp_path: Path) -> None:

    with pytest.raises(ValueError, match=str(tmp_path)):
        load_engine(ModelSettings(model=tmp_path))


def test_registering_a_portrait_returns_notes_for_its_owner(engine: ModelEngine) -> None:
    image = engine.decode_image(encoded(astronaut().rotate(90), "JPEG"))
    notes = engine.register("someone", image)
    assert any("rotated upright" in note for note in notes)
    assert engine.preview("someone").shape == (*engine.size, 3)
    assert "someone" not in engine.avatars  # those are the bundled ones
    opened = engine.open("someone", "base")
    assert opened.idle.shape[1:] == (*engine.size, 3)
    engine.unregister("someone")
    with pytest.raises(UnknownAvatarError, match="no avatar 'someone'"):
        engine.open("someone", "base")
    with pytest.raises(UnknownAvatarError):
        engine.preview("someone")


def test_preview_of_a_bundled_avatar_is_its_framed_portrait(engine: ModelEngine) -> None:
    assert engine.preview("finn").shape == (*engine.size, 3)


def test_unusable_images_have_distinct_error_codes(engine: ModelEngine) -> None:
    whole = encoded(astronaut(), "PNG")
    for data, code in (
        (b"", "image_empty"),
        (b"%PDF-1.7", "not_an_image"),
        (whole[: len(whole) // 2], "image_damaged"),
        (oversized_png(60_000, 60_000), "image_too_large"),
        (encoded(Image.new("F", (64, 64)), "TIFF"), "image_colour"),
    ):
        with pytest.raises(PortraitError) as refused:
            engine.decode_image(data)
        assert refused.value.code == code
    for image, code in (
        (landscape(), "no_face"),
        (pixels(astronaut().resize((128, 128))), "face_too_small"),
    ):
        with pytest.raises(PortraitError) as refused:
            engine.register("nobody", image)
        assert refused.value.code == code


def oversized_png(width: int, height: int) -> bytes:
    """Return a small PNG whose header declares this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def test_plan_of_the_operator_is_the_default_preset(engine: ModelEngine, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(plan_to_json(replace(preset("lightningcp", 2), name="ours")))
    other = ModelEngine(engine._pipeline.model, ModelSettings(plan=file, idle_windows=1))
    assert other.presets[0] == "ours"
    assert set(other.presets[1:]) == set(engine.presets)
    named = engine.open("amara", "lightningcp").idle
    assert np.array_equal(other.open("amara", "ours").idle, named)
    with pytest.raises(UnknownPresetError):  # a client may not have files read
        other.open("amara", str(file))
