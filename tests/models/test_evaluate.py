"""`lipstream evaluate`: videos in, figures of every preset out, and a clear word about what was left out."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from lipstream_client.cli import run
from lipstream_models.audio import read_audio
from lipstream_models.bundled import avatar_path, load_bundled, recording_path
from lipstream_models.checkpoints.weights_file import WeightsError
from lipstream_models.portrait import FaceLandmarker
from lipstream_models.quality.feature_networks import frame_features, load_script, video_features
from lipstream_models.quality.frechet import Gaussian, Moments, frechet_distance
from lipstream_models.quality.mfcc import mel_filters, mfcc
from lipstream_models.quality.syncnet import (
    SyncNet,
    face_crops,
    load_syncnet,
    mean_distances,
    sync_confidence,
)
from lipstream_models.quality.video_clip import at_rate, find_videos, read_clip
from lipstream_server.media.file.video_writer import VideoWriter

CPU = torch.device("cpu")


class TinyInception(torch.nn.Module):
    """Called as Inception is."""

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert images.dtype == torch.uint8
        return images.float().mean(dim=[2, 3])


class TinyI3D(torch.nn.Module):
    """Called as I3D is."""

    def forward(
        self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale
        assert resize
        assert x.shape[1] == 3
        return x.mean(dim=[2, 3, 4])


def saved_script(module: torch.nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


def write_video(path: Path, fps: int = 30, seconds: float = 1.5) -> Path:
    """A bundled avatar, 288 x 320, that wanders to the right, and speech that its lips do not follow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    face = np.array(Image.open(avatar_path("amara")).convert("RGB").resize((256, 256)))
    picture = np.pad(face, ((16, 16), (32, 32), (0, 0)), mode="edge")
    count = round(fps * seconds)
    frames = np.stack([np.roll(picture, i // 6, axis=1) for i in range(count)])
    sound = read_audio(recording_path())[16_000:]
    with VideoWriter(path, 320, 288, 16_000, 1, fps) as writer:
        writer.write(frames, sound[: count * 16_000 // fps])
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good video, one that is broken, and one that is hidden."""
    folder = tmp_path_factory.mktemp("videos")
    good = write_video(folder / "M003" / "video" / "front" / "neutral" / "level_1" / "001.mp4")
    (folder / "broken.mp4").write_bytes(b"no video" * 100)
    shutil.copy(good, folder / ".hidden.mp4")
    return folder


def test_a_folder_of_videos_becomes_a_table_and_json(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inception = saved_script(TinyInception(), tmp_path / "inception.pt")
    out = tmp_path / "out"
    arguments = ["evaluate", str(videos), "--out", str(out), "--presets", "realtime", "--steps", "2"]
    assert run([*arguments, "--seconds", "1.3", "--inception", str(inception)]) == 0
    said = capsys.readouterr()
    assert "broken.mp4: skipped: " in said.err
    text = (out / "evaluation.md").read_text()
    assert said.out.strip() == text.strip()
    lines = text.splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert lines[2].startswith("| `base` |")
    assert "| same | 1.000 | 0.0 |" in lines[2]
    assert lines[3].startswith("| `realtime` |")
    assert "same" not in lines[3]
    assert "FID |" in lines[0]
    assert "FVD" not in lines[0]
    assert "FVD left out: --i3d FILE" in text
    assert "Sync left out: --syncnet FILE" in text
    values = json.loads((out / "evaluation.json").read_text())
    assert values["videos"] == ["M003/video/front/neutral/level_1/001.mp4"]
    assert list(values["skipped"]) == ["broken.mp4"]
    assert values["frames"] == 32
    base, fast = values["presets"]
    assert (base["preset"], base["ratio"], base["ssim"]) == ("base", 1.0, pytest.approx(1.0))
    assert fast["denoising"] > 0
    assert fast["psnr_db"] < 90
    assert base["face_db"] > 10
    assert fast["fid"] >= 0
    assert fast["fvd"] is None
    assert fast["closures"] is None


def test_a_clip_is_what_the_model_sees(videos: Path) -> None:
    (path,) = (found for found in find_videos(videos) if found.name == "001.mp4")
    model = load_bundled()
    clip = read_clip(path, "clip", model, FaceLandmarker(), 1.2)
    assert clip.frames.shape == (30, 256, 256, 3)
    assert clip.audio.shape == (30 * 640,)
    assert np.isfinite(clip.lip_opening).all()
    middle = (clip.face_box[:, 0] + clip.face_box[:, 2]) / 2
    assert middle[0] == pytest.approx(128, abs=24)
    assert middle[-1] > middle[0] + 3  # the crop stays where it was


def test_mead_keeps_the_sound_beside_the_video(tmp_path: Path) -> None:
    import av

    whole = write_video(tmp_path / "whole.mp4", seconds=1.0)
    video = tmp_path / "M003/video/front/angry/level_1/001.mp4"
    audio = tmp_path / "M003/audio/angry/level_1/001.m4a"
    for path, kind in ((video, "video"), (audio, "audio")):
        path.parent.mkdir(parents=True)
        with av.open(str(whole)) as old, av.open(str(path), "w", format="mp4") as new:
            source = next(stream for stream in old.streams if stream.type == kind)
            track = new.add_stream_from_template(source)
            for packet in old.demux(source):
                if packet.dts is not None:
                    packet.stream = track
                    new.mux(packet)
    model = load_bundled()
    clip = read_clip(video, "clip", model, FaceLandmarker(), 1.0)
    together = read_clip(whole, "clip", model, FaceLandmarker(), 1.0)
    assert np.abs(clip.audio).max() > 0.01
    np.testing.assert_allclose(clip.audio, together.audio, atol=1e-3)
    audio.unlink()
    with pytest.raises(ValueError, match="with sound"):
        read_clip(video, "clip", model, FaceLandmarker(), 1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such folder"), ("notes.txt", "expected videos"), ("broken.mp4", "not one of")],
)
def test_a_folder_of_no_use_is_refused(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    if content is not None:
        folder.mkdir()
        (folder / content).write_text("nothing")
    assert run(["evaluate", str(folder), "--out", str(tmp_path / "out"), "--presets", "base"]) == 2
    assert message in capsys.readouterr().err


def test_without_scikit_image_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    assert run(["evaluate", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "pip install -e '.[evaluate]'" in capsys.readouterr().err


def test_frames_are_taken_by_the_nearest_time() -> None:
    at_50 = [(3 + i / 50, i) for i in range(100)]
    assert list(at_rate(at_50, 25)) == list(range(0, 100, 2))
    at_10 = [(i / 10, i) for i in range(10)]
    assert len(list(at_rate(at_10, 25))) == 25
    assert list(at_rate(at_10, 25))[:8] == [0, 0, 1, 1, 2, 2, 2, 3]
    assert list(at_rate([], 25)) == []
    assert list(at_rate([(0.0, 7)], 25)) == [7]


def test_frechet_distance_of_gaussians_that_commute() -> None:
    """|m - n|^2 + sum (sqrt a - sqrt b)^2 over the eigenvalues."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))
    a, b = np.array([4.0, 1, 0.25, 9, 2]), np.array([1.0, 1, 4, 0, 3])
    means = np.arange(5.0), np.ones(5)
    one, other = (
        Gaussian(mean, turn @ np.diag(values) @ turn.T, 9) for mean, values in zip(means, (a, b), strict=True)
    )
    expected = np.square(means[0] - means[1]).sum() + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_agrees_with_the_root_of_the_product() -> None:
    from scipy.linalg import sqrtm

    random = np.random.default_rng(1)
    sets = random.normal(size=(2, 50, 6)) @ random.normal(size=(2, 6, 6))
    found = []
    for rows in sets.astype(np.float32):
        moments = Moments()
        moments.add(rows[:20])
        moments.add(rows[20:])
        found.append(moments.gaussian())
        np.testing.assert_allclose(found[-1].covariance, np.cov(rows.T, bias=True), atol=1e-5)
    a, b = found
    product = np.real(np.trace(sqrtm(a.covariance @ b.covariance)))
    expected = (
        np.square(a.mean - b.mean).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * product
    )
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_features_come_from_the_networks_of_the_user(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), dtype=np.uint8)
    of_frames = frame_features(saved_script(TinyInception(), tmp_path / "a.pt"), CPU)(frames)
    np.testing.assert_allclose(of_frames, frames.mean(axis=(1, 2)), rtol=1e-4)
    of_clips = video_features(saved_script(TinyI3D(), tmp_path / "b.pt"), CPU)(frames)
    np.testing.assert_allclose(of_clips[1], frames[16:32].mean(axis=(0, 1, 2)), rtol=1e-4)
    assert of_clips.shape == (2, 3)
    moments = Moments()
    moments.add(of_frames)
    assert frechet_distance(moments.gaussian(), moments.gaussian()) == pytest.approx(0, abs=1e-6)


def test_a_clip_too_short_for_i3d_has_no_features(tmp_path: Path) -> None:
    frames = np.zeros((9, 16, 16, 3), np.uint8)
    assert len(video_features(saved_script(TinyI3D(), tmp_path / "b.pt"), CPU)(frames)) == 0


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    for name, message in (("bad.pt", "TorchScript"), ("gone.pt", "missing")):
        with pytest.raises(WeightsError, match=message):
            load_script(tmp_path / name, CPU)


def test_syncnet_loads_weights_that_old_versions_of_torch_wrote(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = SyncNet().state_dict()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "sync.model")
    network = load_syncnet(tmp_path / "sync.model", CPU)
    assert torch.equal(network.state_dict()["netcnnlip.19.weight"], state["netcnnlip.19.weight"])
    assert state["netcnnaud.18.weight"].shape == (512, 256, 5, 4)
    with torch.no_grad():
        assert network.hear(torch.zeros(1, 1, 13, 20)).shape == (1, 1024)
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (7, 64, 64, 3), dtype=np.uint8)
    boxes = np.array([[16, 12, 48, 52]] * 7, np.float32)
    assert sync_confidence(network, frames, boxes, random.normal(0, 0.1, 4480).astype(np.float32)) >= 0
    assert np.isnan(sync_confidence(network, frames[:5], boxes[:5], np.zeros(4480, np.float32)))
    del old["netfcaud.0.weight"]
    torch.save(old, tmp_path / "less.model")
    with pytest.raises(WeightsError, match=r"1 of 88 expected keys missing: netfcaud.0.weight"):
        load_syncnet(tmp_path / "less.model", CPU)


@pytest.mark.parametrize("offset", [-4, 0, 3])
def test_the_best_offset_is_where_sound_and_lips_agree(offset: int) -> None:
    seen = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    distances = mean_distances(seen, torch.roll(seen, offset, 0))
    assert distances.shape == (31,)
    assert int(distances.argmin()) - 15 == offset


def test_syncnet_sees_the_face_with_a_margin() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[20:60, 30:70] = 255
    crop: NDArray[np.uint8] = face_crops(frame[None], np.array([[30, 20, 70, 60]], np.float32))[0]
    assert crop.shape == (224, 224, 3)
    scale = 224 / 56
    assert (crop[: int(40 * scale) - 4, int(8 * scale) + 4 : int(48 * scale) - 4] == 255).all()
    assert (crop[int(40 * scale) + 4 :] == 0).all()


def test_mfcc() -> None:
    rng = np.random.default_rng(0)
    audio = rng.normal(0, 1000, 16_000).astype(np.float32)
    found = mfcc(audio)
    assert found.shape == (99, 13)
    louder = mfcc(audio * np.float32(10))
    np.testing.assert_allclose(louder[:, 0] - found[:, 0], np.log(100), atol=1e-3)
    np.testing.assert_allclose(louder[:, 1:], found[:, 1:], atol=1e-2)
    filters = mel_filters()
    assert filters.shape == (26, 257)
    assert filters.max() == 1
    assert (filters.argmax(axis=1)[1:] > filters.argmax(axis=1)[:-1]).all()


def test_mfcc_is_the_discrete_cosine_transform_of_the_log_spectrum() -> None:
    """Against scipy's transform and a loop over windows."""
    from scipy.fft import dct

    audio = np.random.default_rng(1).normal(0, 500, 2000).astype(np.float32)
    sharp = np.append(audio[0], audio[1:] - 0.97 * audio[:-1]).astype(np.float64)
    window = sharp[160 * 4 : 160 * 4 + 400]
    power = np.abs(np.fft.rfft(window, 512)) ** 2 / 512
    cepstrum = dct(np.log(mel_filters() @ power), norm="ortho")[:13]
    cepstrum *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    cepstrum[0] = np.log(power.sum())
    np.testing.assert_allclose(mfcc(audio)[4], cepstrum, rtol=1e-3, atol=1e-3)
