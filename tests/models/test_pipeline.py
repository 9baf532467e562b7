"""One engine, many streams: what a stream gives depends on its portrait, its audio and its seed, and on nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import AUTOENCODER, NETWORK
from torch import Tensor

from lipstream_accel.plan_json import to_json
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
from lipstream_models.pipeline import (
    EncodedPortrait,
    Sampling,
    SamplingError,
    TalkingHeadPipeline,
)
from lipstream_models.portrait import FaceLandmarker, prepare_portrait


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TalkingHeadPipeline:
    """A small random model, its zero-initialised layers stirred so that every input matters."""
    torch.manual_seed(0)
    network, autoencoder = Network(NETWORK), Autoencoder(AUTOENCODER)
    with torch.no_grad():
        for module in (network, autoencoder):
            for name, value in module.named_parameters():
                if not value.any():
                    value.normal_(std=0.2 if name.endswith("weight") else 0.05)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_bundled(path, network, autoencoder, SamplingDefaults(steps=3, guidance=2.0, window=4), spread=1.5)
    return TalkingHeadPipeline(load_bundled(dtype=torch.float32, path=path))


@pytest.fixture(scope="module")
def avatar(engine: TalkingHeadPipeline) -> EncodedPortrait:
    portrait = prepare_portrait(avatar_path(avatar_names()[0]), FaceLandmarker(), engine.model.portrait)
    return engine.encode_portrait(portrait)


def audio(seed: int, frames: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, 5, 2, 384)).astype(np.float32)


SAMPLING = Sampling(steps=3, guidance=2.0)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait
) -> None:
    runs = [
        engine.generate_windows([(engine.initial_state(avatar, replace(SAMPLING, seed=seed)), audio(0))])[0][
            1
        ]
        for seed in (7, 7, 8)
    ]
    assert runs[0].shape == (4, 256, 256, 3)
    assert runs[0].dtype == np.uint8
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


class Listening:
    """A codec that keeps what it is given to decode."""

    def __init__(self, codec: LatentCodec) -> None:
        self.codec, self.factor = codec, codec.factor
        self.heard: list[Tensor] = []

    def encode(self, images: Tensor) -> Tensor:
        return self.codec.encode(images)

    def decode(self, latents: Tensor) -> Tensor:
        self.heard.append(latents)
        return self.codec.decode(latents)


def test_what_is_denoised_is_the_distance_from_the_portrait(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait
) -> None:
    """With a spread, the same denoised latents are scaled by it and added to the portrait's; without, they are used as they are."""
    codec = Listening(engine.model.codec)
    for spread in (None, 1.5):
        other = TalkingHeadPipeline(replace(engine.model, codec=codec, spread=spread))
        other.generate_windows([(other.initial_state(avatar, SAMPLING), audio(0))])
    plain, relative = codec.heard
    torch.testing.assert_close(relative, plain * 1.5 + avatar.source)


def test_generating_changes_no_stream(engine: TalkingHeadPipeline, avatar: EncodedPortrait) -> None:
    stream = engine.initial_state(avatar, SAMPLING)
    later, first = engine.generate_windows([(stream, audio(0))])[0]
    assert np.array_equal(engine.generate_windows([(stream, audio(0))])[0][1], first)
    assert not np.array_equal(engine.generate_windows([(later, audio(0))])[0][1], first)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_looking_back_changes_no_frame(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait, guidance: float
) -> None:
    sampling = replace(SAMPLING, guidance=guidance)
    stream, _ = engine.generate_windows([(engine.initial_state(avatar, sampling), audio(0))])[0]
    stream = engine.prefetch_motion_features(stream)
    later, frames = engine.generate_windows([(stream, audio(1))])[0]
    assert later.motion_features is None
    assert np.array_equal(
        engine.generate_windows([(replace(stream, motion_features=None), audio(1))])[0][1], frames
    )


@pytest.mark.parametrize("name", PRESETS)
def test_interleaved_streams_give_what_each_gives_alone(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait, name: str
) -> None:
    sampling = replace(SAMPLING, preset=name, steps=20 if name == "realtime" else 8)

    def alone(seed: int) -> list[np.ndarray]:
        stream, made = engine.initial_state(avatar, replace(sampling, seed=seed)), []
        for window in range(2):
            stream, frames = engine.generate_windows([(stream, audio(10 * seed + window, 2))])[0]
            made.append(frames)
        return made

    expected = {seed: alone(seed) for seed in (1, 2)}
    streams = {seed: engine.initial_state(avatar, replace(sampling, seed=seed)) for seed in (1, 2)}
    for window in range(2):
        for seed in (1, 2):
            streams[seed], frames = engine.generate_windows([(streams[seed], audio(10 * seed + window, 2))])[
                0
            ]
            assert np.array_equal(frames, expected[seed][window])


@pytest.mark.parametrize("name", ["base", "paper", "realtime"])
def test_a_batch_gives_what_its_streams_give_alone(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait, name: str
) -> None:
    other = prepare_portrait(avatar_path(avatar_names()[1]), FaceLandmarker(), engine.model.portrait)
    avatars = (avatar, engine.encode_portrait(other), avatar)
    sampling = replace(SAMPLING, preset=name, steps=4)
    streams = [engine.initial_state(face, replace(sampling, seed=seed)) for seed, face in enumerate(avatars)]
    streams[0] = engine.generate_windows([(streams[0], audio(5, 2))])[0][0]
    requests = [(stream, audio(number, 2)) for number, stream in enumerate(streams)]
    together = engine.generate_windows(requests)
    for request, (stream, frames) in zip(requests, together, strict=True):
        assert stream.avatar is request[0].avatar
        single = engine.generate_windows([request])[0][1].astype(int)
        # Products of another shape may round differently, by at most one brightness level.
        assert np.abs(frames - single).max() <= 1


def test_exact_gives_the_pictures_of_base(engine: TalkingHeadPipeline, avatar: EncodedPortrait) -> None:
    frames = [
        engine.generate_windows([(engine.initial_state(avatar, replace(SAMPLING, preset=name)), audio(0))])[
            0
        ][1].astype(int)
        for name in ("base", "exact")
    ]
    assert np.abs(frames[0] - frames[1]).max() <= 1


def test_the_faces_tokens_are_the_avatars(avatar: EncodedPortrait) -> None:
    assert avatar.foreground.tolist() == np.flatnonzero(avatar.portrait.foreground).tolist()
    assert 0 < len(avatar.foreground) < len(avatar.portrait.foreground)


def test_windows_of_any_length_work(engine: TalkingHeadPipeline, avatar: EncodedPortrait) -> None:
    stream = engine.initial_state(avatar, SAMPLING)
    for frames in (1, 4, 16):
        stream, made = engine.generate_windows([(stream, audio(3, frames))])[0]
        assert made.shape[0] == frames
        assert stream.motion.shape[1] == engine.model.motion_frames


def test_audio_and_guidance_matter(engine: TalkingHeadPipeline, avatar: EncodedPortrait) -> None:
    stream = engine.initial_state(avatar, SAMPLING)
    first = engine.generate_windows([(stream, audio(0))])[0][1]
    assert not np.array_equal(engine.generate_windows([(stream, audio(1))])[0][1], first)
    unguided = engine.initial_state(avatar, replace(SAMPLING, guidance=1.0))
    assert not np.array_equal(engine.generate_windows([(unguided, audio(0))])[0][1], first)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps must be between 1 and 1000, got 0"),
        ({"guidance": -1.0}, "guidance must be between 0 and 30"),
        ({"seed": -1}, "seed must be between"),
        ({"preset": "warp"}, "unknown preset 'warp'"),
    ],
)
def test_settings_out_of_range_are_refused(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait, wrong: dict, message: str
) -> None:
    with pytest.raises(SamplingError, match=message):
        engine.initial_state(avatar, replace(SAMPLING, **wrong))


def test_streams_that_sample_differently_do_not_share_a_batch(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait
) -> None:
    streams = [engine.initial_state(avatar, replace(SAMPLING, steps=steps)) for steps in (2, 3)]
    with pytest.raises(ValueError, match="must share preset, steps and guidance"):
        engine.generate_windows([(stream, audio(0)) for stream in streams])


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    for content in (b"", b"no tensors here"):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(LipstreamError, match=r"model\.safetensors: expected a bundled Lipstream model"):
            load_bundled(path=path)


def test_a_plan_of_ones_own_stands_in_for_a_preset(
    engine: TalkingHeadPipeline, avatar: EncodedPortrait, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    plan = replace(preset("lightningcp", 3), name="mine")
    file.write_text(to_json(plan))
    own = Sampling.of(engine.model, str(file))
    assert (own.preset, own.steps, own.plan()) == ("mine", 3, plan)
    named = Sampling.of(engine.model, "lightningcp")
    frames = [
        engine.generate_windows([(engine.initial_state(avatar, each), audio(0))])[0][1]
        for each in (own, named)
    ]
    assert np.array_equal(*frames)
    with pytest.raises(SamplingError, match="a plan of 3 steps"):
        Sampling.of(engine.model, str(file), steps=4)
    file.write_text("{}")
    with pytest.raises(SamplingError, match=r"plan\.json"):
        Sampling.of(engine.model, str(file))
