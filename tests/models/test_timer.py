"""Stage timer: stages add up to the total time."""

import time

import pytest

from lipstream_models.device.timer import StageTimer


def test_stages_of_one_name_add_up() -> None:
    begin = time.perf_counter()
    timer = StageTimer("cpu")
    for stage in ("denoising", "decoding", "denoising"):
        time.sleep(0.01)
        timer.mark(stage)
    total = time.perf_counter() - begin
    seconds = timer.seconds()
    assert list(seconds) == ["denoising", "decoding"]
    assert seconds["decoding"] >= 0.01
    assert seconds["denoising"] >= 0.02
    assert sum(seconds.values()) == pytest.approx(total, abs=0.005)
