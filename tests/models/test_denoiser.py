"""Denoiser: cut points compose to the full network, rows are independent, no state outside of values."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from narrow_networks import (
    NARROW,
    TILED,
    make_conditions,
    make_latents,
    seeded_network,
)

from lipstream_models.networks import ConditionsError, Network
from lipstream_models.networks.conditions import join_conditions

CLOSE = {"rtol": 0.0, "atol": 2e-5}


@pytest.fixture(scope="module")
def network() -> Network:
    torch.set_num_threads(1)
    return seeded_network().requires_grad_(False)


@pytest.fixture(scope="module")
def tiled() -> Network:
    return seeded_network(TILED).requires_grad_(False)


def test_head_after_trunk_equals_the_full_network(network: Network) -> None:
    denoiser, conditions, z = network.denoising_unet, make_conditions(network), make_latents(NARROW, 2)
    whole = denoiser(z, 481, conditions)
    assert torch.equal(denoiser.head(z, denoiser.trunk(z, 481, conditions), 481, conditions), whole)
    assert whole.shape == z.shape


def test_decoder_after_encoder_equals_the_full_network(network: Network) -> None:
    denoiser, conditions, z = network.denoising_unet, make_conditions(network), make_latents(NARROW, 2)
    features = denoiser.encode(z, 481, conditions)
    assert torch.equal(denoiser.decode(features, 481, conditions), denoiser(z, 481, conditions))


def test_shallow_after_deep_equals_the_full_network(network: Network) -> None:
    denoiser, conditions, z = network.denoising_unet, make_conditions(network), make_latents(NARROW, 2)
    deep = denoiser.deep(z, 481, conditions)
    assert torch.equal(denoiser.shallow(z, deep, 481, conditions), denoiser(z, 481, conditions))


def test_key_step_returns_the_features_of_all_cut_points(network: Network) -> None:
    denoiser, conditions, z = network.denoising_unet, make_conditions(network), make_latents(NARROW, 2)
    step = denoiser.key_step(z, 481, conditions)
    assert torch.equal(step.f_u31, denoiser.trunk(z, 481, conditions))
    assert torch.equal(step.f_u30, denoiser.deep(z, 481, conditions))
    assert torch.equal(step.encoder.middle, denoiser.encode(z, 481, conditions).middle)


def test_timesteps_in_one_batch_equal_each_alone(network: Network) -> None:
    """In parallel prediction, three steps after a key step share its feature and conditions without copies."""
    denoiser, conditions = network.denoising_unet, make_conditions(network)
    f_u31 = denoiser.trunk(make_latents(NARROW, 2), 481, conditions)
    steps = torch.tensor([400.0, 300.0, 200.0])
    z = make_latents(NARROW, 6, seed=8)
    together = denoiser.head(z, f_u31, steps.repeat(2), conditions)
    features = denoiser.encode(make_latents(NARROW, 2), 481, conditions)
    decoded = denoiser.decode(features, steps.repeat(2), conditions)
    whole = denoiser(z, steps.repeat(2), conditions)
    for index, t in enumerate(steps):
        rows = [index, 3 + index]
        torch.testing.assert_close(together[rows], denoiser.head(z[rows], f_u31, t, conditions), **CLOSE)
        torch.testing.assert_close(decoded[rows], denoiser.decode(features, t, conditions), **CLOSE)
        torch.testing.assert_close(whole[rows], denoiser(z[rows], t, conditions), **CLOSE)


@pytest.mark.parametrize("frames", [1, 3, 4])
def test_conditional_rows_do_not_depend_on_unconditional_ones(
    network: Network, tiled: Network, frames: int
) -> None:
    z = make_latents(NARROW, 2, frames)
    for net in (network, tiled):
        conditions = make_conditions(net, frames=frames)
        both = net.denoising_unet(z, 300, conditions)
        alone = net.denoising_unet(z[1:], 300, conditions.conditional())
        torch.testing.assert_close(both[1:], alone, **CLOSE)
    unguided = make_conditions(network, frames=frames, guided=False)
    torch.testing.assert_close(
        network.denoising_unet(z[1:], 300, unguided), conditional_rows_of(network, z, frames), **CLOSE
    )


def conditional_rows_of(network: Network, z: torch.Tensor, frames: int) -> torch.Tensor:
    """Conditional rows of an untiled network: guidance does not change them."""
    result: torch.Tensor = network.denoising_unet(z, 300, make_conditions(network, frames=frames))[1:]
    return result


def test_unconditional_rows_do_not_depend_on_the_portrait(network: Network) -> None:
    first, second = make_conditions(network, 0), make_conditions(network, 1)
    z = make_latents(NARROW, 2)
    no_reference = {name: c.reference for name, c in second.layers.items()}
    swapped = {
        name: type(c)(no_reference[name], c.identity, c.audio_mix, c.audio, c.motion)
        for name, c in first.layers.items()
    }
    mixed = type(first)(swapped, first.face, first.rows, first.unconditional, first.frames)
    a, b = network.denoising_unet(z, 300, first), network.denoising_unet(z, 300, mixed)
    assert torch.equal(a[0], b[0])
    assert not torch.allclose(a[1], b[1], atol=1e-3)


@settings(max_examples=6, deadline=None)
@given(frames=st.integers(1, 5), guided=st.booleans(), motion=st.booleans(), is_tiled=st.booleans())
def test_windows_in_one_batch_equal_each_alone(
    frames: int, guided: bool, motion: bool, is_tiled: bool
) -> None:
    net = seeded_network(TILED if is_tiled else NARROW).requires_grad_(False)
    parts = [make_conditions(net, clip, frames=frames, guided=guided, motion=motion) for clip in (0, 1)]
    branches = 2 if guided else 1
    z = make_latents(NARROW, 2 * branches, frames)
    joined = net.denoising_unet(z, 700, join_conditions(parts))
    prepared = make_conditions(net, 0, frames=frames, guided=guided, motion=motion, clips=2)
    torch.testing.assert_close(net.denoising_unet(z, 700, prepared), joined, **CLOSE)
    for clip, conditions in enumerate(parts):
        alone = net.denoising_unet(z[clip::2], 700, conditions)
        torch.testing.assert_close(joined[clip::2], alone, **CLOSE)


def test_foreground_of_all_tokens_equals_full_attention(network: Network) -> None:
    denoiser, conditions, z = network.denoising_unet, make_conditions(network), make_latents(NARROW, 2)
    step = denoiser.key_step(z, 481, conditions)
    everything = torch.arange(z.shape[-1] * z.shape[-2])
    later = make_latents(NARROW, 2, seed=9)
    masked = denoiser.head(later, step.f_u31, 450, conditions, everything, step.background)
    torch.testing.assert_close(masked, denoiser.head(later, step.f_u31, 450, conditions), **CLOSE)


def test_background_outputs_come_from_the_key_step(network: Network) -> None:
    """With an empty foreground, all attention outputs are those of the key step, so its prediction does not change."""
    denoiser, conditions, z = network.denoising_unet, make_conditions(network), make_latents(NARROW, 2)
    step = denoiser.key_step(z, 481, conditions)
    nothing = torch.arange(0)
    face = torch.tensor([3, 9, 10, 11, 18, 27])
    reused = denoiser.head(z, step.f_u31, 481, conditions, nothing, step.background)
    torch.testing.assert_close(reused, step.prediction, **CLOSE)
    steps = make_latents(NARROW, 4, seed=9)
    batched = denoiser.head(steps, step.f_u31, 450, conditions, face, step.background)
    alone = denoiser.head(steps[[0, 2]], step.f_u31, 450, conditions, face, step.background)
    torch.testing.assert_close(batched[[0, 2]], alone, **CLOSE)
    assert not torch.allclose(alone, denoiser.head(steps[[0, 2]], step.f_u31, 450, conditions), atol=1e-3)
    conditional, background = conditions.conditional(), step.background.last_rows(1, 3)
    half = denoiser.head(steps[2:3], step.f_u31[1:], 450, conditional, face, background)
    torch.testing.assert_close(half, alone[1:], **CLOSE)


def test_reference_tokens_can_be_removed_from_a_layer(network: Network) -> None:
    denoiser, conditions, z = network.denoising_unet, make_conditions(network), make_latents(NARROW, 2)
    without = conditions.without_reference({denoiser.layer_names[0]})
    plain, changed = denoiser(z, 300, conditions), denoiser(z, 300, without)
    torch.testing.assert_close(changed[0], plain[0], **CLOSE)
    assert not torch.allclose(changed[1], plain[1], atol=1e-4)
    with pytest.raises(KeyError, match="unknown layers"):
        conditions.without_reference({"up_blocks.9.9"})


def test_calls_do_not_change_later_calls(network: Network) -> None:
    first, second, z = make_conditions(network, 0), make_conditions(network, 1), make_latents(NARROW, 2)
    before = network.denoising_unet(z, 300, first)
    network.denoising_unet(z, 10, second)
    assert torch.equal(network.denoising_unet(z, 300, first), before)


def test_gradients_reach_every_network() -> None:
    net = seeded_network()
    conditions = make_conditions(net)
    net.denoising_unet(make_latents(NARROW, 2), 300, conditions).square().mean().backward()
    last = net.denoising_unet.layer_names[-1]
    block, _, layer = last.rpartition(".")
    unread = f"reference_unet.{block}.attentions.{layer}."
    without_gradient = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(name.startswith(unread) for name in without_gradient), without_gradient


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_full_precision(dtype: torch.dtype) -> None:
    exact = seeded_network().requires_grad_(False)
    z = make_latents(NARROW, 2)
    expected = exact.denoising_unet(z, 300, make_conditions(exact))
    half = seeded_network().requires_grad_(False).to(dtype)
    got = half.denoising_unet(z.to(dtype), 300, make_conditions(half))
    assert got.dtype is dtype
    error = (got.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < 0.05


def test_latents_that_do_not_match_are_refused(network: Network) -> None:
    conditions = make_conditions(network)
    with pytest.raises(ConditionsError, match="multiple of 2 rows"):
        network.denoising_unet(make_latents(NARROW, 3), 300, conditions)
    with pytest.raises(ConditionsError, match="4 frames, the conditions 3"):
        network.denoising_unet(make_latents(NARROW, 2, 4), 300, conditions)
    with pytest.raises(ConditionsError, match="multiples of 4"):
        network.denoising_unet(make_latents(NARROW, 2)[..., :6], 300, conditions)
    with pytest.raises(ConditionsError, match="1 or 2 timesteps, got 3"):
        network.denoising_unet(make_latents(NARROW, 2), torch.ones(3), conditions)


def test_input_gain_removes_latents_without_signal() -> None:
    """At zero SNR the prediction depends on the conditions only; without noise the gain changes nothing."""
    gained = seeded_network(replace(NARROW, input_gain=True)).requires_grad_(False)
    alphas = torch.linspace(1, 0, 1000)
    gained.denoising_unet.set_input_gain(alphas)
    conditions = make_conditions(gained)
    ours, plain = gained.denoising_unet, seeded_network().requires_grad_(False).denoising_unet
    a, b = make_latents(NARROW, 2), make_latents(NARROW, 2, seed=8)
    assert torch.equal(ours(a, 999, conditions), ours(b, 999, conditions))
    assert torch.equal(ours(a, 0, conditions), plain(a, 0, conditions))
    steps = torch.tensor([700, 400])
    scaled = a * alphas[steps].sqrt()[:, None, None, None, None]
    torch.testing.assert_close(ours(a, steps, conditions), plain(scaled, steps, conditions), **CLOSE)


def test_input_gain_needs_a_network_with_one(network: Network) -> None:
    with pytest.raises(ConditionsError, match="no input gain"):
        network.denoising_unet.set_input_gain(torch.ones(1000))
