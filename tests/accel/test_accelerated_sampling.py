"""Invariants of accelerated sampling, on narrow Hallo networks and on toy networks with known results."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from narrow_networks import (
    NARROW,
    SIDE,
    TILED,
    make_conditions,
    make_latents,
    seeded_network,
)
from torch import Tensor
from toy_unet import ToyUNet

from lipstream_accel.plan import Plan, Segment
from lipstream_accel.presets import PRESETS, preset
from lipstream_accel.rules import PlanError
from lipstream_accel.sampling import sample
from lipstream_accel.schedule import DDIMSchedule
from lipstream_models.config import SchedulerConfig
from lipstream_models.networks import Denoiser, Network
from lipstream_models.networks.conditions import Conditions
from lipstream_models.scheduler import ddim_schedule

CLOSE = {"rtol": 0.0, "atol": 1e-5}
SCALE = 2.5
FACE = torch.tensor([3, 9, 10, 11, 18, 27, 28, 36])
EVERYTHING = torch.arange(SIDE * SIDE)
REUSING = [name for name in PRESETS if name not in ("base", "exact")]

# Key step 6 caches no unconditional features; step 8 forecasts each branch from its own history.
FORECASTING = Plan(
    "forecasting",
    12,
    (
        Segment(0, 1),
        Segment(2, 3, forecast=1, foreground=True),
        Segment(6, 1, guidance="reuse", following_guidance="reuse", forecast=1),
        Segment(8, 3, forecast=1),
    ),
)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.set_num_threads(1)
    return seeded_network().requires_grad_(False)


@pytest.fixture(scope="module")
def schedule() -> DDIMSchedule:
    return ddim_schedule(SchedulerConfig(), 12)


def run(
    denoiser: Any,
    plan: Plan,
    schedule: DDIMSchedule,
    conditions: Conditions,
    scale: float = SCALE,
    foreground: Tensor = FACE,
    seed: int = 7,
) -> Tensor:
    return sample(denoiser, plan, schedule, make_latents(NARROW, 1, 2, seed), conditions, scale, foreground)


class SequentialDenoiser:
    """A denoiser that evaluates the steps of a parallel batch one by one."""

    def __init__(self, inner: Denoiser) -> None:
        self.inner = inner
        self.layer_names = inner.layer_names
        self.key_step = inner.key_step
        self.shallow = inner.shallow
        self.largest = 0

    def head(self, z: Tensor, f: Tensor, t: Tensor, conditions: Conditions, *inside: Any) -> Tensor:
        def one(rows: slice) -> Tensor:
            feature = f if f.shape[0] == conditions.rows else f[rows]
            return self.inner.head(z[rows], feature, t[rows], conditions, *inside)

        return self._one_by_one(one, z.shape[0], conditions.rows)

    def decode(self, encoder: Any, t: Tensor, conditions: Conditions) -> Tensor:
        return self._one_by_one(
            lambda rows: self.inner.decode(encoder, t[rows], conditions), t.numel(), conditions.rows
        )

    def _one_by_one(self, one: Any, rows: int, conditioned: int) -> Tensor:
        steps = rows // conditioned
        self.largest = max(self.largest, steps)
        parts = [one(slice(step, rows, steps)) for step in range(steps)]
        return torch.stack(parts, dim=1).flatten(0, 1)


@torch.no_grad()
def test_base_runs_the_full_network_at_every_step(network: Network, schedule: DDIMSchedule) -> None:
    conditions, latents = make_conditions(network, frames=2), make_latents(NARROW, 1, 2)
    by_hand = latents
    for index, t in enumerate(schedule.timesteps):
        rows, times = torch.cat([by_hand, by_hand]), torch.full((2,), t)
        u, c = network.denoising_unet.whole(rows, times, conditions).chunk(2)
        by_hand = schedule.step(index, by_hand, u + SCALE * (c - u))
    assert torch.equal(run(network.denoising_unet, preset("base", 12), schedule, conditions), by_hand)
    keys_only = Plan.from_keys("keys", 12, range(12), cut="shallow", foreground=False)
    assert torch.equal(run(network.denoising_unet, keys_only, schedule, conditions), by_hand)


@pytest.mark.parametrize("config", [NARROW, TILED, replace(NARROW, layers_per_block=1)])
@pytest.mark.parametrize("guided", [True, False])
def test_projected_conditions_equal_unprojected_ones(config: Any, guided: bool) -> None:
    net = seeded_network(config).requires_grad_(False)
    z = make_latents(config, 2 if guided else 1)
    options = {"frames": 3, "guided": guided, "clips": 1}
    projected, unprojected = (make_conditions(net, project=project, **options) for project in (True, False))
    for t in (999, 24):
        torch.testing.assert_close(
            net.denoising_unet(z, t, projected), net.denoising_unet(z, t, unprojected), **CLOSE
        )


@pytest.mark.parametrize("name", ["lightningcp-dfa", "fasterdiffusion", "deepcache", "realtime"])
def test_plans_give_equal_results_with_unprojected_conditions(
    network: Network, schedule: DDIMSchedule, name: str
) -> None:
    plan = preset(name, 12)
    results = [
        run(network.denoising_unet, plan, schedule, make_conditions(network, frames=2, project=project))
        for project in (True, False)
    ]
    torch.testing.assert_close(*results, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [*REUSING, "forecasting"])
def test_parallel_batch_equals_its_steps_one_by_one(
    network: Network, schedule: DDIMSchedule, name: str
) -> None:
    conditions = make_conditions(network, frames=2)
    plan = FORECASTING if name == "forecasting" else replace(preset(name, 12), estimate_from=2)
    alone = SequentialDenoiser(network.denoising_unet)
    together = run(network.denoising_unet, plan, schedule, conditions)
    torch.testing.assert_close(together, run(alone, plan, schedule, conditions), rtol=0, atol=1e-4)
    assert alone.largest > 1 or name == "deepcache"


@pytest.mark.parametrize("name", ["lightningcp-dfa", "realtime"])
def test_foreground_of_all_tokens_equals_full_attention(
    network: Network, schedule: DDIMSchedule, name: str
) -> None:
    plan, conditions = preset(name, 12), make_conditions(network, frames=2)
    full = replace(plan, segments=tuple(replace(s, foreground=False) for s in plan.segments))
    inside = run(network.denoising_unet, plan, schedule, conditions, foreground=EVERYTHING)
    torch.testing.assert_close(inside, run(network.denoising_unet, full, schedule, conditions), **CLOSE)
    face = run(network.denoising_unet, plan, schedule, conditions)
    assert not torch.allclose(face, inside, atol=1e-3)


@pytest.mark.parametrize("name", PRESETS)
def test_windows_in_one_batch_equal_each_alone(network: Network, schedule: DDIMSchedule, name: str) -> None:
    plan = preset(name, 12)
    conditions = [make_conditions(network, clip, frames=2, project=plan.project_once) for clip in (0, 1)]

    def clip(number: int, seed: int) -> Tensor:
        return run(network.denoising_unet, plan, schedule, conditions[number], seed=seed)

    first, second = clip(0, 1), clip(1, 2)
    assert torch.equal(clip(0, 1), first)
    both = sample(
        network.denoising_unet,
        plan,
        schedule,
        torch.cat([make_latents(NARROW, 1, 2, seed) for seed in (1, 2)]),
        make_conditions(network, 0, frames=2, clips=2, project=plan.project_once),
        SCALE,
        FACE,
    )
    torch.testing.assert_close(both, torch.cat([first, second]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", REUSING)
def test_plans_that_reuse_guidance_run_without_guidance(
    network: Network, schedule: DDIMSchedule, name: str
) -> None:
    conditions = make_conditions(network, frames=2, guided=False)
    evaluated = [
        replace(s, guidance="evaluate", following_guidance="evaluate") for s in preset(name, 12).segments
    ]
    always = replace(preset(name, 12), segments=tuple(evaluated))
    results = [
        run(network.denoising_unet, p, schedule, conditions, scale=1.0) for p in (preset(name, 12), always)
    ]
    assert torch.equal(*results)
    assert results[0].isfinite().all()


def test_reused_guidance_is_exact_for_a_constant_difference(schedule: DDIMSchedule) -> None:
    """The branches of the toy differ by a constant, so guidance evaluated once equals guidance at every step."""
    z, conditions = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(0)), TwoBranches([0.1, 0.4])
    keys = tuple(range(12))
    once = tuple(Segment(k, guidance="reuse" if k else "evaluate") for k in keys)
    evaluated = sample(Linear(), preset("exact", 12), schedule, z, conditions, 3.0)
    reused = sample(Linear(), Plan("once", 12, once), schedule, z, conditions, 3.0)
    skipped = tuple(Segment(k, guidance="skip") for k in keys)
    torch.testing.assert_close(reused, evaluated)
    without = sample(Linear(), Plan("skipped", 12, skipped), schedule, z, conditions, 3.0)
    plain = sample(Linear(), preset("exact", 12), schedule, z, TwoBranches([0.4]), 1.0)
    torch.testing.assert_close(without, plain)
    assert not torch.allclose(without, evaluated, atol=1e-2)


class TwoBranches(tuple):
    def __new__(cls, values: list[float]) -> "TwoBranches":
        return super().__new__(cls, values)

    def conditional(self) -> "TwoBranches":
        return TwoBranches([self[-1]])


class Linear:
    """Predicts a tenth of the latents plus the condition: for equal latents, the branches differ by a constant."""

    def whole(self, z: Tensor, t: Tensor, conditions: TwoBranches) -> Tensor:
        return 0.1 * z + torch.tensor(conditions)[:, None, None]


def test_forecast_is_exact_for_a_linear_feature() -> None:
    """If f_U31 is linear in time, extrapolated steps equal full steps."""
    schedule = ddim_schedule(SchedulerConfig(), 10)
    z = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    unet = LinearFeature()
    conditions = torch.ones(2, 1)
    full = sample(unet, preset("exact", 10), schedule, z, conditions, 1.0)
    keys = (0, 1, 4)
    line = Plan.from_keys("line", 10, keys, parallel=False, forecast=1)
    hold = Plan.from_keys("hold", 10, keys, parallel=False)
    torch.testing.assert_close(sample(unet, line, schedule, z, conditions, 1.0), full)
    assert not torch.allclose(sample(unet, hold, schedule, z, conditions, 1.0), full, atol=1e-3)


class LinearFeature(ToyUNet):
    def trunk(self, z: Tensor, t: Tensor, conditions: Tensor) -> Tensor:
        return (t / 100)[:, None, None].expand(z.shape)


def test_latents_are_estimated_from_the_threshold(schedule: DDIMSchedule) -> None:
    """Before the threshold the head gets the true latents, repeated; from it on, latents rolled forward."""
    z = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(2))
    recorder = RecordingUNet()
    sample(recorder, Plan.from_keys("p", 12, (0, 3), estimate_from=7), schedule, z, torch.ones(1, 1), 1.0)
    (start, key), inputs = recorder.key_inputs, recorder.head_inputs[1]
    noise = schedule.clean_and_noise(
        3, key, recorder.whole(key, torch.tensor([schedule.timesteps[3]]), torch.ones(1, 1))
    )[1]
    assert torch.equal(start, z)
    assert torch.equal(inputs[0], inputs[1])
    assert torch.equal(inputs[0], inputs[2])
    rolled = inputs[:1]
    for index in range(4, 12):
        if index >= 7:
            torch.testing.assert_close(inputs[index - 4 : index - 3], rolled)
        a, b = schedule.alphas[index], schedule.alphas_after[index]
        # lambda and tau of LightningCP, section 1
        tau = b**0.5 * ((1 / b - 1) ** 0.5 - (1 / a - 1) ** 0.5)
        rolled = (b / a) ** 0.5 * rolled + tau * noise


class RecordingUNet(ToyUNet):
    """Records the inputs of `key_step` and `head`."""

    def __init__(self) -> None:
        super().__init__()
        self.key_inputs: list[Tensor] = []
        self.head_inputs: list[Tensor] = []

    def whole(self, z: Tensor, t: Tensor, conditions: Tensor) -> Tensor:
        return ToyUNet().whole(z, t, conditions)

    def key_step(self, z: Tensor, t: Tensor, conditions: Tensor) -> Any:
        self.key_inputs.append(z)
        return super().key_step(z, t, conditions)

    def head(self, z: Tensor, *rest: Any) -> Tensor:
        self.head_inputs.append(z)
        return super().head(z, *rest)


def test_head_runs_in_one_batch_between_key_steps(schedule: DDIMSchedule) -> None:
    unet = ToyUNet()
    sample(unet, Plan.from_keys("p", 12, (0, 1, 5)), schedule, torch.zeros(1, 2, 3), torch.ones(1, 1), 1.0)
    assert unet.calls == [("key step", 1), ("key step", 1), ("head", 3), ("key step", 1), ("head", 6)]


@pytest.mark.parametrize("depth", [1, 2])
def test_cut_points_compose_at_any_block_depth(depth: int) -> None:
    net = seeded_network(replace(NARROW, layers_per_block=depth)).requires_grad_(False).denoising_unet
    conditions = make_conditions(
        seeded_network(replace(NARROW, layers_per_block=depth)).requires_grad_(False)
    )
    z = make_latents(NARROW, 2)
    step, whole = net.key_step(z, 481, conditions), net.whole(z, 481, conditions)
    assert torch.equal(step.prediction, whole)
    assert torch.equal(net.head(z, step.f_u31, 481, conditions), whole)
    assert torch.equal(net.shallow(z, step.f_u30, 481, conditions), whole)
    assert torch.equal(net.decode(step.encoder, 481, conditions), whole)
    last, nothing = step.last_rows(1), torch.arange(0)
    torch.testing.assert_close(
        net.head(z[1:], last.f_u31, 481, conditions.conditional(), nothing, last.background),
        whole[1:],
        **CLOSE,
    )


def test_plan_that_does_not_fit_its_arguments_is_refused(network: Network, schedule: DDIMSchedule) -> None:
    conditions, denoiser = make_conditions(network, frames=2), network.denoising_unet
    latents = make_latents(NARROW, 1, 2)
    with pytest.raises(PlanError, match="foreground not empty"):
        run(denoiser, preset("paper", 12), schedule, conditions, foreground=torch.arange(0))
    with pytest.raises(PlanError, match="foreground given"):
        sample(denoiser, preset("paper", 12), schedule, latents, conditions, SCALE)
    unknown = replace(preset("exact", 12), without_reference=("up_blocks.9.9",))
    with pytest.raises(PlanError, match=r"layers exist.*unknown layer 'up_blocks.9.9'.*down_blocks.0.0"):
        run(denoiser, unknown, schedule, conditions)
    with pytest.raises(PlanError, match="schedule length"):
        run(denoiser, preset("exact", 11), schedule, conditions)
    with pytest.raises(PlanError, match=r"cut points exist.*expected ToyUNet to have shallow"):
        sample(ToyUNet(), preset("deepcache", 12), schedule, latents, torch.ones(1, 1), 1.0)
