"""Golden tests: the networks reproduce the numbers of the public Hallo implementation (commit 8fd7c57).

`hallo-golden` contains weights and outputs. The smaller files contain outputs for weights that are a function of
their names (`seeded`): an odd number of frames with frame-dependent masks, and a run without guidance, in other
widths.
"""

import json
from pathlib import Path

import pytest
import safetensors
import torch
from narrow_networks import seeded
from safetensors.torch import load_file, save_file

from lipstream_models.checkpoints import golden as command
from lipstream_models.checkpoints.golden_file import (
    GoldenFile,
    empty_network,
    empty_vae,
    read_golden,
)
from lipstream_models.config import NetworkConfig
from lipstream_models.networks import Network

DATA = Path(__file__).parents[2] / "data"
GOLDEN = DATA / "hallo-golden.safetensors"


def test_full_size_checkpoint_loads_strictly() -> None:
    shapes = json.loads((DATA / "hallo-net-keys.json").read_text())
    with torch.device("meta"):
        network = Network(NetworkConfig())
        state = {key: torch.empty(shape) for key, shape in shapes.items()}
    assert len(shapes) == 2656
    network.load_state_dict(state, strict=True, assign=True)


def test_golden_command_reports_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(GOLDEN), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert set(report["outputs"]) == {
        "audio_tokens",
        "f_u31.first",
        "latents_in.first",
        "latents_in.last",
        "model_output.first",
        "model_output.last",
        "timesteps",
        "video",
    }
    assert max(row["difference"] for row in report["outputs"].values()) < 3e-5


def test_golden_outputs_match_with_unprojected_conditions() -> None:
    golden = read_golden(GOLDEN)
    report = command.compare(golden, command.run_golden(golden, project=False))
    assert all(row["passed"] for row in report.values())


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize("name", ["hallo-odd-frames", "hallo-no-guidance"])
def test_golden_outputs_match_in_other_shapes_and_settings(name: str, project: bool) -> None:
    """With projected and with unprojected conditions."""
    golden = seeded_golden(DATA / f"{name}.safetensors")
    report = command.compare(golden, command.run_golden(golden, project=project))
    assert {key: row["difference"] for key, row in report.items() if not row["passed"]} == {}
    assert len(report) == 8


def seeded_golden(path: Path) -> GoldenFile:
    tensors = load_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        settings = json.loads(file.metadata()["config"])

    def group(prefix: str) -> dict[str, torch.Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    bare = GoldenFile(settings, {}, {}, group("input."), group("output."))
    positions = {
        k: v for k, v in Network(empty_network(bare).config).state_dict().items() if k.endswith(".pe")
    }
    weights, vae = (
        {key: seeded(prefix + key, tuple(p.shape)) for key, p in module.named_parameters()}
        for prefix, module in (("net.", empty_network(bare)), ("vae.", empty_vae(bare)))
    )
    return GoldenFile(settings, weights | positions, vae, bare.inputs, bare.outputs)


def test_golden_command_reports_differences_with_status_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tensors = load_file(GOLDEN)
    with safetensors.safe_open(GOLDEN, framework="pt") as file:
        settings = json.loads(file.metadata()["config"]) | {"steps": 1, "frames": 2}
    changed_tensors = {k: v for k, v in tensors.items() if not k.startswith("output.")}
    for key, value in tensors.items():
        if "_mask." in key:
            changed_tensors[key] = value[:2]
    changed_tensors["input.audio"] = tensors["input.audio"][:, :2].contiguous()
    changed_tensors["input.initial_latents"] = tensors["input.initial_latents"][:, :, :2].contiguous()
    changed_tensors["output.audio_tokens"] = tensors["output.audio_tokens"][:, :2] + 2e-4
    changed_tensors["output.video"] = tensors["output.video"]
    changed = tmp_path / "changed.safetensors"
    save_file(changed_tensors, changed, metadata={"config": json.dumps(settings)})
    assert command.main([str(changed)]) == 1
    printed = capsys.readouterr().out
    assert "output.audio_tokens" in printed
    assert "inf" in printed
    assert printed.count("FAILED") == 2


def test_golden_command_explains_unreadable_files_with_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(GOLDEN.read_bytes()[:100_000])
    bare = tmp_path / "bare.safetensors"
    save_file({"x": torch.zeros(1)}, bare)
    partial = tmp_path / "partial.safetensors"
    save_file({"output.x": torch.zeros(1)}, partial, metadata={"config": "{}"})
    for path, reason in (
        (tmp_path / "none.safetensors", "no such file"),
        (cut, "not a readable safetensors file"),
        (bare, "expected metadata `config`"),
        (partial, "missing metadata steps"),
    ):
        assert command.main([str(path)]) == 2
        assert reason in capsys.readouterr().err


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    golden = read_golden(GOLDEN)
    wrong = GoldenFile(
        {**golden.settings, "cross_attention_dim": 32},
        golden.weights,
        golden.vae_weights,
        golden.inputs,
        golden.outputs,
    )
    with pytest.raises(command.GoldenError, match="weights do not fit"):
        command.run_golden(wrong)
