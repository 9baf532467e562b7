"""The server's seam over the real engine, with a small random model."""

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
from lipstream_models.audio import FeatureConfig, context_windows
from lipstream_models.autoencoders.patch_autoencoder import Autoencoder
from lipstream_models.bundled import load_bundled, save_bundled
from lipstream_models.model import SamplingDefaults
from lipstream_models.networks import Network
from lipstream_server.engines.base import (
    OutOfMemoryError,
    PortraitError,
    Request,
    UnknownAvatarError,
    UnknownPresetError,
)
from lipstream_server.engines.model import ModelEngine, ModelSettings, ModelStream
from lipstream_server.media.live.audio_input import Resampler


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

    def generate_windows(self, requests: list, watch: object) -> list:
        self.windows += [window for _, window in requests]
        return self.engine.generate_windows(requests, watch)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("frames", [4, 12])
def test_a_window_is_heard_with_the_piece_that_ends_with_it(
    engine: ModelEngine, frames: int, rate: int
) -> None:
    """Live audio comes in pieces of one frame, of which a resampler keeps the end to itself: no further piece is waited for."""
    needed = engine.samples_needed(frames)
    pieces = -(-needed // 640)
    resampler = Resampler(rate, 16_000)
    heard = sum(len(resampler.push(np.zeros(rate // 25, np.float32))) for _ in range(pieces))
    assert heard >= needed
    assert pieces == frames + 2 + FeatureConfig().right


def test_windows_of_a_stream_hear_what_the_whole_recording_gives(
    engine: ModelEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = Listening(engine._pipeline)
    monkeypatch.setattr(engine, "_pipeline", listening)
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
    rows = engine._pipeline.model.audio.offline(np.concatenate([audio, silence]))
    expected = context_windows(rows)[:20]
    np.testing.assert_allclose(np.concatenate(listening.windows), expected, atol=1e-5)
    assert isinstance(opened.stream, ModelStream)
    assert opened.stream.hearing is None  # a value: what follows an utterance begins there again


def test_a_stream_that_was_kept_goes_on_in_another_engine_with_the_same_frames(engine: ModelEngine) -> None:
    """As when its process was lost: other streams, other objects, and only bytes between them."""
    other = ModelEngine(engine._pipeline.model, ModelSettings(idle_windows=1))
    picture = engine.read_picture(encoded(astronaut(), "PNG"))
    engine.register("someone", picture)
    audio = np.random.default_rng(1).normal(size=640 * 40).astype(np.float32) * 0.1
    stream, given = engine.begin("someone", "base", 5), 0
    other.restore_avatar("someone", engine.keep_avatar("someone"))
    for start in (0, 4, 8):
        needed = engine.samples_needed(start + 4)
        kept = engine.keep(stream)
        request = Request(stream, audio[given:needed], start, 4, False)
        made = engine.generate([request])[0]
        restored = other.restore("someone", "base", kept)
        assert restored.batch_key == stream.batch_key
        again = other.generate([replace(request, stream=restored)])[0]
        np.testing.assert_array_equal(again.frames, made.frames)
        stream, given = made.stream, needed
    first, second = (other.restore("someone", "base", kept).talking.session for _ in range(2))
    assert first is second  # what is large is shared
    engine.forget("someone")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), "too much for the CPU"],
    ids=lambda error: type(error).__name__,
)
def test_a_device_without_room_says_so_in_one_way(
    engine: ModelEngine, monkeypatch: pytest.MonkeyPatch, error: Exception | str
) -> None:
    def full(*_: object) -> None:
        if isinstance(error, Exception):
            raise error
        torch.empty(2**60)

    stream = engine.begin("amara", "base", 0)
    request = Request(stream, np.zeros(engine.samples_needed(4), np.float32), 0, 4, False)
    monkeypatch.setattr(engine._pipeline, "generate_windows", full)
    with pytest.raises(OutOfMemoryError, match="no room for 1 windows of 4 frames"):
        engine.generate([request])


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
    from lipstream_server.engines.model import load_engine

    with pytest.raises(ValueError, match=str(tmp_path)):
        load_engine(ModelSettings(model=tmp_path))


def test_a_portrait_becomes_an_avatar_with_what_its_owner_should_know(engine: ModelEngine) -> None:
    picture = engine.read_picture(encoded(astronaut().rotate(90), "JPEG"))
    notes = engine.register("someone", picture)
    assert any("turned upright" in note for note in notes)
    assert engine.preview("someone").shape == (*engine.size, 3)
    assert "someone" not in engine.avatars  # those are the bundled ones
    opened = engine.open("someone", "base")
    assert opened.idle.shape[1:] == (*engine.size, 3)
    engine.forget("someone")
    with pytest.raises(UnknownAvatarError, match="no avatar 'someone'"):
        engine.open("someone", "base")
    with pytest.raises(UnknownAvatarError):
        engine.preview("someone")


def test_the_preview_of_a_bundled_avatar_is_its_framed_portrait(engine: ModelEngine) -> None:
    assert engine.preview("finn").shape == (*engine.size, 3)


def test_pictures_that_cannot_be_avatars_are_told_apart(engine: ModelEngine) -> None:
    whole = encoded(astronaut(), "PNG")
    for data, code in (
        (b"", "picture_empty"),
        (b"%PDF-1.7", "not_a_picture"),
        (whole[: len(whole) // 2], "picture_damaged"),
        (announcing(60_000, 60_000), "picture_too_large"),
        (encoded(Image.new("F", (64, 64)), "TIFF"), "picture_colour"),
    ):
        with pytest.raises(PortraitError) as refused:
            engine.read_picture(data)
        assert refused.value.code == code
    for picture, code in (
        (landscape(), "no_face"),
        (pixels(astronaut().resize((128, 128))), "face_too_small"),
    ):
        with pytest.raises(PortraitError) as refused:
            engine.register("nobody", picture)
        assert refused.value.code == code


def announcing(width: int, height: int) -> bytes:
    """A PNG that says it is very large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def test_an_operators_plan_is_the_default_preset(engine: ModelEngine, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(plan_to_json(replace(preset("lightningcp", 2), name="ours")))
    other = ModelEngine(engine._pipeline.model, ModelSettings(plan=file, idle_windows=1))
    assert other.presets[0] == "ours"
    assert set(other.presets[1:]) == set(engine.presets)
    named = engine.open("amara", "lightningcp").idle
    assert np.array_equal(other.open("amara", "ours").idle, named)
    with pytest.raises(UnknownPresetError):  # a client may not have files read
        other.open("amara", str(file))
