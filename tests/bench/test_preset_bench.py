"""The tables of the bench say what was measured."""

import gc

import numpy as np
import pytest
import torch
from narrow_networks import NARROW, SIDE

from lipstream_accel.presets import PRESETS
from lipstream_accel.price import EvaluationCost, Price
from lipstream_bench.machine.peak_memory import PeakMemory
from lipstream_bench.machine.quantiles import quantiles
from lipstream_bench.presets.full_size_speed import measure_full_size
from lipstream_bench.presets.speed import Speed
from lipstream_bench.presets.table import bundled_table, full_size_table
from lipstream_models.analysis.meta_models import FullSize
from lipstream_models.config import SchedulerConfig
from lipstream_models.model import SamplingDefaults
from lipstream_models.quality.fidelity import Fidelity

MEGA = 1_000_000


def test_peak_memory_counts_what_lives_at_once() -> None:
    with PeakMemory() as memory:
        a = torch.zeros(MEGA)  # 4 MB
        b = a + 1  # 8
        del a
        view = (b * 2).view(1000, 1000)  # 8: a view has no storage of its own
        del b
        gc.collect()
        c = view + 1  # 8
        del c
    assert memory.peak == 8 * MEGA


def test_peak_memory_leaves_out_what_was_there_before() -> None:
    weight = torch.ones(MEGA)
    with PeakMemory() as memory:
        weight.mul_(2)
        for _ in range(3):
            weight * 2
    assert memory.peak == 4 * MEGA


def test_quantiles_are_values_that_were_measured() -> None:
    values = list(np.random.default_rng(0).permutation(100) + 1.0)
    assert quantiles(values) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert quantiles([]) == {}


def test_a_model_with_random_weights_is_timed_by_every_preset_for_several_sessions() -> None:
    defaults = SamplingDefaults(steps=11, guidance=2.0, window=4)
    size = FullSize("narrow", NARROW, SIDE, defaults, SchedulerConfig())
    rows = measure_full_size(size, "cpu", PRESETS, batches=[1, 2], turns=1, vae_channels=(32,) * 4)
    assert [(row.preset, row.batch) for row in rows] == [
        (name, count) for count in (1, 2) for name in PRESETS
    ]
    for row in rows:
        assert row.frames_a_second == pytest.approx(row.batch * 4 / (row.denoising + row.decoding))
    assert len(full_size_table(rows).splitlines()) == 2 + len(rows)


def test_the_table_has_a_row_for_every_preset() -> None:
    speeds = [Speed(name, 100.0, 1.0, 120.0, 1.0, 25.0, 12.0) for name in ("base", "paper")]
    close = [
        Fidelity("base", 140.0, 1.0, 0.0, 0.9, 0.0, 0.8, 25.0),
        Fidelity("paper", 31.25, 0.95, 4.0, 0.88, 1.0, 0.75, 24.0),
    ]
    price = Price((EvaluationCost("key step", 2, 1, 2 * 10**12),))
    table = bundled_table(
        speeds, close, dict.fromkeys(("base", "paper"), price), dict.fromkeys(("base", "paper"), price)
    )
    lines = table.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "same" in lines[2]
    assert "31.2" in lines[3]
    assert "2000" in lines[3]
