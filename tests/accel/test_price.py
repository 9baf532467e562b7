"""Plan prices: equal to the FLOPs of sampling, and to the figures published in LightningCP."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from narrow_networks import (
    NARROW,
    SIDE,
    make_conditions,
    make_latents,
    seeded_network,
)
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lipstream_accel.plan_json import plan_to_json
from lipstream_accel.presets import PRESETS, preset
from lipstream_accel.price import price
from lipstream_accel.sampling import sample
from lipstream_client.cli import run
from lipstream_models.analysis.meta_models import MetaModel, meta_model, price_plan
from lipstream_models.config import SchedulerConfig
from lipstream_models.model import SamplingDefaults
from lipstream_models.networks import Network
from lipstream_models.scheduler import ddim_schedule

SMALL = MetaModel(
    "narrow", NARROW, SIDE, SamplingDefaults(steps=8, guidance=2.0, window=2), SchedulerConfig()
)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.set_num_threads(1)
    return seeded_network().requires_grad_(False)


@pytest.mark.parametrize("name", PRESETS)
def test_price_equals_the_flops_of_sampling(network: Network, name: str) -> None:
    plan = preset(name, 8)
    conditions = make_conditions(network, frames=2, project=plan.project_once)
    face = torch.arange(int(0.5 * SMALL.tokens))
    # torch's counter does not count the fused attention kernel of the CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        sample(
            network.denoising_unet,
            plan,
            ddim_schedule(SchedulerConfig(), 8),
            make_latents(NARROW, 1, 2),
            conditions,
            2.0,
            face,
        )
    assert price_plan(plan, SMALL, face=0.5).flops == counter.get_total_flops()


def test_price_refuses_tensors_outside_the_meta_device(network: Network) -> None:
    arguments = (make_latents(NARROW, 1, 2), make_conditions(network, frames=2), 2.0)
    with pytest.raises(ValueError, match="on the device 'meta', got latents on 'cpu'"):
        price(network.denoising_unet, preset("exact", 8), ddim_schedule(SchedulerConfig(), 8), *arguments)


def test_price_of_base_and_exact_at_full_size() -> None:
    """The released code of Hallo costs 53.95 TFLOP a step: 2158 for the 40 steps in LightningCP."""
    hallo = meta_model("hallo")
    base, exact = (price_plan(preset(name, 2), hallo).tflop * 20 for name in ("base", "exact"))
    assert base == pytest.approx(2158.08, rel=1e-4)
    assert exact == pytest.approx(1863.5, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "as_released", "exact"),
    [
        ("deepcache", 1041.28, 878.3),
        ("fasterdiffusion", 1561.64, 1356.1),
        ("lightningcp", 745.72, 637.4),
        ("lightningcp-dfa", 679.56, 589.4),
        # LightningCP reports 671.40: it still counts the unconditional half's second attention in that layer.
        ("paper", 667.07, 585.6),
        ("balanced", 447.3, 402.1),
        ("realtime", 340.14, 304.0),
    ],
)
def test_price_of_presets_at_full_size(name: str, as_released: float, exact: float) -> None:
    plan, hallo = preset(name, 40), meta_model("hallo")
    assert price_plan(plan.as_released(), hallo).tflop == pytest.approx(as_released, rel=2e-4)
    assert price_plan(plan, hallo).tflop == pytest.approx(exact, rel=1e-3)


def test_plan_command_prints_plan_and_price(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "realtime", "--model", "bundled", "--steps", "8"]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert "realtime: 8 steps, 1 of them key steps" in text
    assert "TFLOP per clip of" in text
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["plan"]["segments"][0]["key"] == 0
    assert (
        0 < report["tflop_per_clip"] == report["tflop_per_clip_exact"] < report["tflop_per_clip_as_released"]
    )
    assert report["tflop_per_clip_as_released"] < report["tflop_per_clip_base"]
    own = sum(kind["times"] * kind["tflop"] for kind in report["evaluations"])
    assert own == pytest.approx(report["tflop_per_clip"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["warp"], "unknown preset 'warp': expected one of base, exact"),
        (["exact", "--steps", "0"], "at least 1 step, got 0"),
        (["exact", "--face", "0", "--model", "bundled"], "share of the face above 0 and at most 1, got 0.0"),
        (["none.json"], "No such file"),
    ],
)
def test_plan_command_explains_errors(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_plan_command_reads_a_json_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.json"
    path.write_text(plan_to_json(replace(preset("exact", 2), name="mine")))
    assert run(["plan", str(path), "--model", "bundled"]) == 0
    assert capsys.readouterr().out.startswith("mine: 2 steps")
    assert run(["plan", str(path), "--model", "bundled", "--steps", "3"]) == 2
    assert "plan of 2 steps" in capsys.readouterr().err
