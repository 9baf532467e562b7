"""Stages are told apart, and nothing between them is lost."""

import time

import pytest

from lipstream_models.device.timer import Stopwatch


def test_stages_follow_each_other_and_those_of_one_name_add_up() -> None:
    begin = time.perf_counter()
    watch = Stopwatch("cpu")
    for stage in ("denoising", "decoding", "denoising"):
        time.sleep(0.01)
        watch.mark(stage)
    whole = time.perf_counter() - begin
    seconds = watch.seconds()
    assert list(seconds) == ["denoising", "decoding"]
    assert seconds["decoding"] >= 0.01
    assert seconds["denoising"] >= 0.02
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.005)
