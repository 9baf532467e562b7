"""Network configurations: JSON round trip, and errors that name the invalid key."""

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
def test_configuration_survives_a_json_round_trip(config: NetworkConfig) -> None:
    assert type(config).from_json(config.to_json()) == config


@given(
    levels=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    heads=st.sampled_from([1, 2, 4]),
    layers=st.integers(1, 3),
)
def test_valid_network_configurations_survive_a_json_round_trip(
    levels: list[int], heads: int, layers: int
) -> None:
    config = NetworkConfig(
        block_out_channels=tuple(32 * level for level in levels), heads=heads, layers_per_block=layers
    )
    assert NetworkConfig.from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"wdith": 3}, r"network\.wdith: unknown key"),
        ({"audio_projection": {"tokens": 3}}, r"network\.audio_projection\.tokens: unknown key"),
        ({"heads": "8"}, r"network\.heads: Input should be a valid integer, got '8'"),
        ({"heads": True}, r"network\.heads: Input should be a valid integer, got True"),
        ({"heads": 7}, "320 is not divisible by heads=7"),
        ({"block_out_channels": [320]}, "at least 2 levels"),
        ({"block_out_channels": 320}, r"network\.block_out_channels: Input should be a valid array, got 320"),
        ({"motion_frames": 32}, "must be below max_positions"),
        ({"audio_attention_dim": 5}, "must equal audio_attention_dim=5"),
        ({"identity_projection": 4}, r"network\.identity_projection: Input should be an object, got 4"),
    ],
)
def test_configuration_errors_name_the_invalid_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkConfig.from_dict(values)


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_configuration_must_be_a_json_object(text: str) -> None:
    with pytest.raises(ConfigError):
        SchedulerConfig.from_json(text)
