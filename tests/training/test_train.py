"""The stages of `python -m lipstream_training.train`."""

import importlib.util
from pathlib import Path

import pytest

from lipstream_training.train import TINY, Scale, all_stages


@pytest.mark.parametrize("scale", [TINY, Scale()])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_stage_is_a_module(scale: Scale, device: str, tmp_path: Path) -> None:
    for stage in all_stages(tmp_path, scale, 2, device):
        for module, *_ in stage:
            assert importlib.util.find_spec(f"lipstream_training.{module}") is not None, module


def test_audio_stages_are_skipped_when_their_networks_are_in_the_run(tmp_path: Path) -> None:
    def modules() -> set[str]:
        return {command[0] for stage in all_stages(tmp_path, TINY, 1, "cpu") for command in stage}

    assert {"diffusion.audio_pretraining", "diffusion.audio_to_blendshapes"} <= modules()
    (tmp_path / "audio_projection.pt").touch()
    assert "diffusion.audio_pretraining" not in modules()
    (tmp_path / "audio_to_blendshapes.pt").touch()
    assert not {"stages.speech_features", "diffusion.audio_to_blendshapes"} & modules()


def test_tiny_training_does_not_replace_the_package_weights(tmp_path: Path) -> None:
    (export,) = all_stages(tmp_path, TINY, 1, "cpu")[-1]
    assert export[export.index("--out") + 1] == str(tmp_path / "model.safetensors")
