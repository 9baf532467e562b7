"""The pipeline: a stream's frames depend on its portrait, audio and seed only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import AUTOENCODER, NETWORK
from torch import Tensor

from lipstream_accel.plan_json import plan_to_json
from lipstream_accel.presets import PRESETS, preset
from lipstream_models.autoencoders.base import LatentCodec
from lipstream_models.autoencoders.patch_autoencoder import Autoencoder
from lipstream_models.bundled import (
    avatar_names,
    avatar_path,
    load_bundled,
    save_bundled,
)
from lipstream_models.errors import LipstreamError
from lipstream_models.model import SamplingDefaults
from lipstream_models.networks import Network
from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.pipeline_state import EncodedPortrait
from lipstream_models.portrait import FaceLandmarker, prepare_portrait
from lipstream_models.sampling import Sampling, SamplingError


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> TalkingHeadPipeline:
    """A small random model, its zero-initialised layers randomised so that every input matters."""
    torch.manual_seed(0)
    network, autoencoder = Network(NETWORK), Autoencoder(AUTOENCODER)
    with torch.no_grad():
        for module in (network, autoencoder):
            for name, value in module.named_parameters():
                if not value.any():
                    value.normal_(std=0.2 if name.endswith("weight") else 0.05)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_bundled(
        path, network, autoencoder, SamplingDefaults(steps=3, guidance=2.0, window=4), residual_scale=1.5
    )
    return TalkingHeadPipeline(load_bundled(dtype=torch.float32, path=path))


@pytest.fixture(scope="module")
def portrait(pipeline: TalkingHeadPipeline) -> EncodedPortrait:
    prepared = prepare_portrait(avatar_path(avatar_names()[0]), FaceLandmarker(), pipeline.model.portrait)
    return pipeline.encode_portrait(prepared)


def audio(seed: int, frames: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, 5, 2, 384)).astype(np.float32)


SAMPLING = Sampling(steps=3, guidance=2.0)


def test_frames_depend_on_the_seed_only(pipeline: TalkingHeadPipeline, portrait: EncodedPortrait) -> None:
    runs = [
        pipeline.generate_windows(
            [(pipeline.initial_state(portrait, replace(SAMPLING, seed=seed)), audio(0))]
        )[0][1]
        for seed in (7, 7, 8)
    ]
    assert runs[0].shape == (4, 256, 256, 3)
    assert runs[0].dtype == np.uint8
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


class RecordingCodec:
    """A codec that records the latents that it decodes."""

    def __init__(self, codec: LatentCodec) -> None:
        self.codec, self.factor = codec, codec.factor
        self.decoded: list[Tensor] = []

    def encode(self, images: Tensor) -> Tensor:
        return self.codec.encode(images)

    def decode(self, latents: Tensor) -> Tensor:
        self.decoded.append(latents)
        return self.codec.decode(latents)


def test_samples_are_residuals_to_the_portrait(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait
) -> None:
    """Samples are scaled by the residual scale and added to the portrait's latents; without a scale they are the latents."""
    codec = RecordingCodec(pipeline.model.codec)
    for residual_scale in (None, 1.5):
        other = TalkingHeadPipeline(replace(pipeline.model, codec=codec, residual_scale=residual_scale))
        other.generate_windows([(other.initial_state(portrait, SAMPLING), audio(0))])
    plain, relative = codec.decoded
    torch.testing.assert_close(relative, plain * 1.5 + portrait.latents)


def test_generate_windows_leaves_its_input_state_unchanged(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait
) -> None:
    stream = pipeline.initial_state(portrait, SAMPLING)
    later, first = pipeline.generate_windows([(stream, audio(0))])[0]
    assert np.array_equal(pipeline.generate_windows([(stream, audio(0))])[0][1], first)
    assert not np.array_equal(pipeline.generate_windows([(later, audio(0))])[0][1], first)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_prefetched_motion_features_change_no_frame(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait, guidance: float
) -> None:
    sampling = replace(SAMPLING, guidance=guidance)
    stream, _ = pipeline.generate_windows([(pipeline.initial_state(portrait, sampling), audio(0))])[0]
    stream = pipeline.prefetch_motion_features(stream)
    later, frames = pipeline.generate_windows([(stream, audio(1))])[0]
    assert later.motion_features is None
    assert np.array_equal(
        pipeline.generate_windows([(replace(stream, motion_features=None), audio(1))])[0][1], frames
    )


@pytest.mark.parametrize("name", PRESETS)
def test_interleaved_streams_equal_each_alone(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait, name: str
) -> None:
    sampling = replace(SAMPLING, preset=name, steps=20 if name == "realtime" else 8)

    def alone(seed: int) -> list[np.ndarray]:
        stream, windows = pipeline.initial_state(portrait, replace(sampling, seed=seed)), []
        for window in range(2):
            stream, frames = pipeline.generate_windows([(stream, audio(10 * seed + window, 2))])[0]
            windows.append(frames)
        return windows

    expected = {seed: alone(seed) for seed in (1, 2)}
    streams = {seed: pipeline.initial_state(portrait, replace(sampling, seed=seed)) for seed in (1, 2)}
    for window in range(2):
        for seed in (1, 2):
            streams[seed], frames = pipeline.generate_windows(
                [(streams[seed], audio(10 * seed + window, 2))]
            )[0]
            assert np.array_equal(frames, expected[seed][window])


@pytest.mark.parametrize("name", ["base", "paper", "realtime"])
def test_batched_streams_equal_each_alone(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait, name: str
) -> None:
    other = prepare_portrait(avatar_path(avatar_names()[1]), FaceLandmarker(), pipeline.model.portrait)
    portraits = (portrait, pipeline.encode_portrait(other), portrait)
    sampling = replace(SAMPLING, preset=name, steps=4)
    streams = [
        pipeline.initial_state(each, replace(sampling, seed=seed)) for seed, each in enumerate(portraits)
    ]
    streams[0] = pipeline.generate_windows([(streams[0], audio(5, 2))])[0][0]
    requests = [(stream, audio(number, 2)) for number, stream in enumerate(streams)]
    together = pipeline.generate_windows(requests)
    for request, (stream, frames) in zip(requests, together, strict=True):
        assert stream.portrait is request[0].portrait
        single = pipeline.generate_windows([request])[0][1].astype(int)
        # Matrix products of another shape may round differently, by at most one level.
        assert np.abs(frames - single).max() <= 1


def test_exact_gives_the_frames_of_base(pipeline: TalkingHeadPipeline, portrait: EncodedPortrait) -> None:
    frames = [
        pipeline.generate_windows(
            [(pipeline.initial_state(portrait, replace(SAMPLING, preset=name)), audio(0))]
        )[0][1].astype(int)
        for name in ("base", "exact")
    ]
    assert np.abs(frames[0] - frames[1]).max() <= 1


def test_foreground_tokens_are_those_of_the_portrait(portrait: EncodedPortrait) -> None:
    assert portrait.foreground.tolist() == np.flatnonzero(portrait.portrait.foreground).tolist()
    assert 0 < len(portrait.foreground) < len(portrait.portrait.foreground)


def test_windows_may_have_any_length(pipeline: TalkingHeadPipeline, portrait: EncodedPortrait) -> None:
    stream = pipeline.initial_state(portrait, SAMPLING)
    for frames in (1, 4, 16):
        stream, generated = pipeline.generate_windows([(stream, audio(3, frames))])[0]
        assert generated.shape[0] == frames
        assert stream.motion.shape[1] == pipeline.model.motion_frames


def test_frames_depend_on_audio_and_guidance(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait
) -> None:
    stream = pipeline.initial_state(portrait, SAMPLING)
    first = pipeline.generate_windows([(stream, audio(0))])[0][1]
    assert not np.array_equal(pipeline.generate_windows([(stream, audio(1))])[0][1], first)
    unguided = pipeline.initial_state(portrait, replace(SAMPLING, guidance=1.0))
    assert not np.array_equal(pipeline.generate_windows([(unguided, audio(0))])[0][1], first)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps must be between 1 and 1000, got 0"),
        ({"guidance": -1.0}, "guidance must be between 0 and 30"),
        ({"seed": -1}, "seed must be between"),
        ({"preset": "warp"}, "unknown preset 'warp'"),
    ],
)
def test_sampling_out_of_range_is_refused(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait, wrong: dict, message: str
) -> None:
    with pytest.raises(SamplingError, match=message):
        pipeline.initial_state(portrait, replace(SAMPLING, **wrong))


def test_streams_with_different_sampling_cannot_share_a_batch(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait
) -> None:
    streams = [pipeline.initial_state(portrait, replace(SAMPLING, steps=steps)) for steps in (2, 3)]
    with pytest.raises(ValueError, match="must share preset, steps and guidance"):
        pipeline.generate_windows([(stream, audio(0)) for stream in streams])


def test_invalid_model_file_is_named(tmp_path: Path) -> None:
    for content in (b"", b"no tensors here"):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(LipstreamError, match=r"model\.safetensors: expected a bundled Lipstream model"):
            load_bundled(path=path)


def test_custom_plan_replaces_a_preset(
    pipeline: TalkingHeadPipeline, portrait: EncodedPortrait, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    plan = replace(preset("lightningcp", 3), name="mine")
    file.write_text(plan_to_json(plan))
    custom = Sampling.for_model(pipeline.model, str(file))
    assert (custom.preset, custom.steps, custom.plan()) == ("mine", 3, plan)
    named = Sampling.for_model(pipeline.model, "lightningcp")
    frames = [
        pipeline.generate_windows([(pipeline.initial_state(portrait, each), audio(0))])[0][1]
        for each in (custom, named)
    ]
    assert np.array_equal(*frames)
    with pytest.raises(SamplingError, match="a plan of 3 steps"):
        Sampling.for_model(pipeline.model, str(file), steps=4)
    file.write_text("{}")
    with pytest.raises(SamplingError, match=r"plan\.json"):
        Sampling.for_model(pipeline.model, str(file))
