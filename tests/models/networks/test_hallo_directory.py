"""Model directories: Hallo's layout loads and converts, and all problems come in one error."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hallo_layout import (
    CONFIG,
    NET,
    UNET,
    VAE_FILE,
    network_state,
    vae_state,
    write_layout,
)
from safetensors.torch import load_file

from lipstream_models.checkpoints.convert import ConvertError, convert
from lipstream_models.checkpoints.hallo_directory import ModelDirectoryError, config_from_unet
from lipstream_models.checkpoints.network_weights import check_model, load_model
from lipstream_models.config import NetworkConfig
from lipstream_models.errors import LipstreamError


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("published"))


@pytest.fixture
def directory(published: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(published, tmp_path / "model")


def test_published_layout_loads(published: Path) -> None:
    model = load_model(published, torch.float32)
    assert model.network.config == CONFIG
    loaded = model.network.state_dict()
    assert all(torch.equal(loaded[key], value.float()) for key, value in network_state().items())
    vae = model.autoencoder.module.state_dict()
    assert all(torch.equal(vae[key], value) for key, value in vae_state().items())
    assert model.autoencoder.scaling == 0.2
    latents = model.autoencoder.encode(torch.zeros(1, 2, 3, 16, 16))
    assert latents.shape == (1, 2, 4, 8, 8)
    assert model.autoencoder.decode(latents).shape == (1, 2, 3, 16, 16)
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_converted_directory_loads(published: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    out = tmp_path / "converted"
    steps: list[tuple[str, int, int]] = []
    convert(published, out, dtype, lambda name, done, total: steps.append((name, done, total)))
    stored = load_file(out / "net.safetensors")
    assert {value.dtype for value in stored.values()} == {dtype}
    assert [step for step in steps if step[0] == "net.safetensors"][-1][1:] == (len(stored), len(stored))
    before, after = load_model(published, dtype), load_model(out, dtype)
    for old, new in ((before.network, after.network), (before.autoencoder.module, after.autoencoder.module)):
        again = new.state_dict()
        assert all(torch.equal(again[key], value) for key, value in old.state_dict().items())
    assert not list(out.rglob("*.pth"))
    assert not list(out.rglob("*.partial"))
    assert after.directory.detector.read_text() == "stands for the detector"
    assert (after.directory.wav2vec / "config.json").is_file()


def test_conversion_never_overwrites(published: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ConvertError, match="exists already"):
        convert(published, tmp_path)
    with pytest.raises(ConvertError, match="expected one of"):
        convert(published, tmp_path / "out", torch.float32)
    assert not (tmp_path / "out").exists()


def test_conversion_of_a_broken_directory_writes_nothing(directory: Path, tmp_path: Path) -> None:
    (directory / VAE_FILE).unlink()
    with pytest.raises(ModelDirectoryError):
        convert(directory, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def save_changed(change: Callable[[dict[str, torch.Tensor]], object], path: Path) -> None:
    state = network_state()
    change(state)
    torch.save(state, path)


def test_directory_error_lists_all_problems(directory: Path) -> None:
    shutil.rmtree(directory / "face_analysis")
    (directory / "wav2vec/wav2vec2-base-960h/model.safetensors").unlink()
    (directory / VAE_FILE).write_bytes((directory / VAE_FILE).read_bytes()[:5000])

    def change(state: dict[str, torch.Tensor]) -> None:
        state["denoising_unet.conv_in.weight"] = torch.zeros(8, 4, 3, 3)
        state["stray.weight"] = torch.zeros(1)
        del state["imageproj.norm.bias"]

    save_changed(change, directory / NET)
    with pytest.raises(ModelDirectoryError) as caught:
        load_model(directory)
    assert isinstance(caught.value, LipstreamError)
    assert len(caught.value.problems) == 7
    message = str(caught.value)
    for part in (
        "7 problems",
        "scrfd_10g_bnkps.onnx: missing; expected the face detector",
        "glintr100.onnx: missing",
        "model.safetensors: missing; expected the speech encoder",
        "diffusion_pytorch_model.safetensors: not a complete safetensors file (5000 bytes",
        "denoising_unet.conv_in.weight is [8, 4, 3, 3], expected [32, 4, 3, 3]",
        "keys not expected: stray.weight",
        "1 of 2652 expected keys missing: imageproj.norm.bias [16]",
    ):
        assert part in message


def test_missing_and_empty_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelDirectoryError, match="no such directory"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ModelDirectoryError) as caught:
        load_model(tmp_path)
    assert all("missing; expected the" in problem for problem in caught.value.problems)
    assert any("net.pth" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("size", [0, 100, 20_000])
def test_truncated_checkpoint_is_named(directory: Path, size: int) -> None:
    path = directory / NET
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelDirectoryError, match=rf"net\.pth: .*{size} bytes"):
        load_model(directory)


class UnpickledPayload:
    """Runs code when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoint_objects_are_never_unpickled(directory: Path, tmp_path: Path, zipped: bool) -> None:
    trace = tmp_path / "trace"
    state = {**network_state(), "extra": UnpickledPayload(trace)}
    if zipped:
        torch.save(state, directory / NET)
    else:
        (directory / NET).write_bytes(pickle.dumps({"extra": UnpickledPayload(trace)}))
    with pytest.raises(ModelDirectoryError, match=r"net\.pth: refused.*never unpickled"):
        load_model(directory)
    assert not trace.exists()


def test_checkpoint_must_be_a_dictionary_of_tensors(directory: Path) -> None:
    torch.save([torch.zeros(3)], directory / NET)
    with pytest.raises(ModelDirectoryError, match="expected a flat dictionary of tensors, got list"):
        load_model(directory)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"in_channels": 4}', json.dumps(UNET | {"attention_head_dim": 5})]
)
def test_invalid_unet_configuration_is_named(directory: Path, text: str) -> None:
    (directory / "stable-diffusion-v1-5/unet/config.json").write_text(text)
    with pytest.raises(ModelDirectoryError, match=r"1 problem:\n.*unet/config\.json: "):
        check_model(directory)


def test_configuration_of_stable_diffusion_gives_full_size_hallo() -> None:
    full = UNET | {
        "block_out_channels": [320, 640, 1280, 1280],
        "attention_head_dim": 8,
        "norm_num_groups": 32,
        "cross_attention_dim": 768,
    }
    assert config_from_unet(full, {"hidden_size": 768, "num_hidden_layers": 12}, {}) == NetworkConfig()
