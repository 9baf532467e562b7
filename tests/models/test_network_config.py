"""Configurations round-trip through JSON and refuse what they do not know."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrow_networks import NARROW, TILED

from lipstream_models.config import (
    AudioProjectionConfig,
    ConfigError,
    NetworkConfig,
    SchedulerConfig,
)


@pytest.mark.parametrize(
    "config", [NetworkConfig(), NARROW, TILED, SchedulerConfig(), AudioProjectionConfig()]
)
def test_json_round_trip(config: NetworkConfig) -> None:
    assert type(config).from_json(config.to_json()) == config


@given(
    levels=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    heads=st.sampled_from([1, 2, 4]),
    layers=st.integers(1, 3),
)
def test_any_possible_network_round_trips(levels: list[int], heads: int, layers: int) -> None:
    config = NetworkConfig(
        block_out_channels=tuple(32 * level for level in levels), heads=heads, layers_per_block=layers
    )
    assert NetworkConfig.from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"wdith": 3}, "unknown keys .'wdith'.; known keys are"),
        ({"audio_projection": {"tokens": 3}}, "audio_projection: unknown keys"),
        ({"heads": "8"}, "network.heads: expected int, got '8'"),
        ({"heads": True}, "network.heads: expected int, got True"),
        ({"heads": 7}, "320 is not divisible by heads=7"),
        ({"block_out_channels": [320]}, "at least 2 levels"),
        ({"block_out_channels": 320}, "expected a list"),
        ({"motion_frames": 32}, "must be below max_positions"),
        ({"audio_attention_dim": 5}, "must equal audio_attention_dim=5"),
        ({"identity_projection": 4}, "expected an object"),
    ],
)
def test_impossible_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkConfig.from_dict(values)


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        SchedulerConfig.from_json(text)
