"""An engine process that crashes, hangs or runs out of memory gives the same results as an engine that does not."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from failing_engines import (
    calm,
    dying,
    gone,
    narrow,
    poisoned,
    raising,
)
from hypothesis import given
from hypothesis import strategies as st

from lipstream_models.audio.sliding import WindowGrid
from lipstream_server.config.settings import EngineSettings
from lipstream_server.engines.base import (
    EngineGoneError,
    EngineLostError,
    OutOfMemoryError,
    PortraitError,
    Stream,
    UnknownAvatarError,
    WindowRequest,
    WindowResult,
)
from lipstream_server.engines.lookahead_table import LookaheadTable
from lipstream_server.engines.remote.proxy import EngineProcess
from lipstream_server.engines.remote.restart_policy import RestartPolicy
from lipstream_server.engines.remote.worker import EngineFaultError
from lipstream_server.engines.stub import StubEngine

QUICK = EngineSettings(window_timeout_seconds=0.5, call_timeout_seconds=30.0, max_restarts=4)
SAMPLES = np.random.default_rng(0).normal(0, 0.3, 16_000 * 4).astype(np.float32)


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    with EngineProcess.create(StubEngine, QUICK).start() as started:
        yield started


def window(engine: StubEngine | EngineProcess, stream: Stream, number: int, frames: int = 8) -> WindowRequest:
    """Return the request for window `number`; all streams get the same audio."""
    begin = engine.samples_needed(number * frames) if number else 0
    return WindowRequest(
        stream,
        SAMPLES[begin : engine.samples_needed((number + 1) * frames)],
        number * frames,
        frames,
        False,
    )


def generate(engine: EngineProcess, request: WindowRequest) -> WindowResult:
    """Generate a window, and once more if the engine was lost meanwhile."""
    try:
        return engine.generate([request])[0]
    except EngineLostError:
        return engine.generate([request])[0]


def kill(engine: EngineProcess, by: signal.Signals = signal.SIGKILL) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, by)


def test_engine_process_has_the_properties_of_its_engine(engine: EngineProcess) -> None:
    local = StubEngine()
    assert (engine.name, engine.size, engine.fps) == (local.name, local.size, local.fps)
    assert tuple(engine.avatars) == tuple(local.avatars)
    assert tuple(engine.presets) == tuple(local.presets)
    assert engine.pid != os.getpid()
    opened = engine.open("green", "exact")
    np.testing.assert_array_equal(opened.idle, local.open("green", "exact").idle)
    assert opened.stream.batch_key == local.open("green", "exact").stream.batch_key
    np.testing.assert_array_equal(engine.preview("blue"), local.preview("blue"))


@pytest.mark.parametrize("killed_before", [0, 1, 3])
def test_stream_continues_with_equal_frames_after_its_process_died(
    engine: EngineProcess, killed_before: int
) -> None:
    local = StubEngine()
    remote_stream, local_stream = (
        engine.create_stream("green", "exact", 7),
        local.create_stream("green", "exact", 7),
    )
    for number in range(5):
        if number == killed_before:
            kill(engine)
        result = generate(engine, window(engine, remote_stream, number))
        expected = local.generate([window(local, local_stream, number)])[0]
        np.testing.assert_array_equal(result.frames, expected.frames)
        remote_stream, local_stream = result.stream, expected.stream
        engine.prefetch_motion_features([remote_stream])
    assert engine.health.restarts == 1
    assert engine.health.state == "running"


def test_hanging_process_is_killed_and_restarted(engine: EngineProcess) -> None:
    stream = engine.create_stream("red", "exact", 0)
    stream = engine.generate([window(engine, stream, 0)])[0].stream
    before = engine.pid
    kill(engine, signal.SIGSTOP)
    assert len(generate(engine, window(engine, stream, 1)).frames) == 8
    assert engine.health.restarts == 1
    assert before is not None
    assert gone([before])


def test_check_restarts_a_process_that_died_or_hangs_between_calls(engine: EngineProcess) -> None:
    engine.generate([window(engine, engine.create_stream("red", "exact", 0), 0)])
    for by in (signal.SIGKILL, signal.SIGSTOP):
        kill(engine, by)
        engine.check()
    assert engine.health.restarts == 2


def test_registered_avatars_survive_a_restart_and_removed_ones_do_not(engine: EngineProcess) -> None:
    for name, digit in (("someone", b"1"), ("other", b"2")):
        engine.register(name, engine.decode_image(b"\x89PNG\r\n\x1a\n" + digit))
    before = engine.preview("someone")
    engine.unregister("other")
    kill(engine)
    np.testing.assert_array_equal(engine.preview("someone"), before)
    with pytest.raises(UnknownAvatarError, match="no avatar 'other'"):
        engine.create_stream("other", "exact", 0)


def test_dropped_streams_are_released_in_the_process(engine: EngineProcess) -> None:
    stream = engine.create_stream("red", "exact", 0)
    for number in range(12):
        stream = generate(engine, window(engine, stream, number)).stream
        if number == 6:
            kill(engine)
    for _ in range(30):
        engine.open("blue", "exact")
    engine.check()
    # The last of each, and the stream of the request that warms up the next process.
    assert engine.call("count_streams") <= 4


def test_process_ignores_signals_that_are_meant_for_the_server(engine: EngineProcess) -> None:
    before = engine.pid
    kill(engine, signal.SIGINT)
    kill(engine, signal.SIGTERM)
    engine.check()
    assert (engine.pid, engine.health.restarts) == (before, 0)


def test_window_that_kills_every_process_fails_and_others_succeed() -> None:
    with EngineProcess.create(poisoned, QUICK).start() as engine:
        grey, red = engine.create_stream("grey", "exact", 0), engine.create_stream("red", "exact", 0)
        for _ in range(2):
            with pytest.raises(EngineLostError, match="ended with code -9 at generate") as failed:
                engine.generate([window(engine, grey, 0), window(engine, red, 0)])
            assert not isinstance(failed.value, EngineGoneError)
        assert len(engine.generate([window(engine, red, 0)])[0].frames) == 8
        assert engine.health.restarts == 2


def test_process_that_dies_too_often_is_given_up() -> None:
    with EngineProcess.create(dying, QUICK).start() as engine:
        stream = engine.create_stream("red", "exact", 0)
        for _ in range(4):
            with pytest.raises(EngineLostError):
                engine.generate([window(engine, stream, 0)])
        with pytest.raises(EngineGoneError, match="lost more than 4 times within 300 s"):
            engine.generate([window(engine, stream, 0)])
        assert engine.health.state == "lost"
        with pytest.raises(EngineGoneError):
            engine.check()


def test_errors_of_the_engine_reach_the_server() -> None:
    with EngineProcess.create(narrow, QUICK).start() as engine:
        stream = engine.create_stream("red", "exact", 0)
        with pytest.raises(OutOfMemoryError, match="no room for 2 windows"):
            engine.generate([window(engine, stream, 0)] * 2)
        with pytest.raises(UnknownAvatarError, match="only red, green"):
            engine.create_stream("nobody", "exact", 0)
        with pytest.raises(PortraitError) as refused:
            engine.decode_image(b"")
        assert refused.value.code == "image_empty"
        with pytest.raises(EngineFaultError, match=r"ValueError: expected 6400 samples"):
            engine.generate([WindowRequest(stream, SAMPLES[:10], 0, 8, False)])
        assert engine.health.restarts == 0


def test_loading_error_keeps_its_message_and_exit_code() -> None:
    with EngineProcess.create(raising, QUICK) as engine, pytest.raises(EngineFaultError) as failed:
        engine.start()
    assert str(failed.value) == "expected a model, got none; bring one"
    assert failed.value.exit_code == 2


def test_closed_engine_ends_at_once_and_is_not_restarted() -> None:
    engine = EngineProcess.create(partial(StubEngine, seconds_per_window=60.0), QUICK).start()
    assert engine.pid is not None
    begin = time.monotonic()
    stream = engine.create_stream("red", "exact", 0)
    engine.close()
    with pytest.raises(EngineGoneError):
        engine.generate([window(engine, stream, 0)])
    assert gone([engine.pid])
    assert time.monotonic() - begin < 30


def test_process_within_its_adaptive_timeout_is_never_killed() -> None:
    settings = EngineSettings(window_timeout_seconds=0.01, window_timeout_factor=50.0)
    with EngineProcess.create(calm, settings).start() as engine:
        stream = engine.create_stream("red", "exact", 0)
        for number in range(4):
            stream = engine.generate([window(engine, stream, number)])[0].stream
        assert engine.health.restarts == 0


@given(
    st.integers(1, 12).flatmap(lambda hop: st.tuples(st.just(hop), st.integers(0, hop - 1))),
    st.integers(-100, 1000),
    st.integers(0, 100_000),
)
def test_lookahead_table_equals_the_rule_of_the_engine(
    grid: tuple[int, int], after: int, frames: int
) -> None:
    needed = WindowGrid(hop=grid[0], offset=grid[1], after=after).samples_for
    assert LookaheadTable.probe(lambda rows: needed(rows + 2)).samples_needed(frames) == needed(frames + 2)


def test_lookahead_table_refuses_a_rule_that_is_not_periodic() -> None:
    with pytest.raises(ValueError, match="equally more audio"):
        LookaheadTable.probe(lambda frames: frames * frames)


def test_restart_policy_doubles_its_delay_and_gives_up_after_the_limit() -> None:
    policy = RestartPolicy(max_restarts=4, period=100.0)
    assert [policy.record_death(now) for now in (0.0, 1.0, 2.0, 3.0, 4.0)] == [0.0, 0.25, 0.5, 1.0, None]
    assert RestartPolicy(max_restarts=1, period=100.0).record_death(0.0) == 0.0
    spaced = RestartPolicy(max_restarts=1, period=100.0)
    assert [spaced.record_death(now) for now in (0.0, 100.0, 200.0)] == [0.0, 0.0, 0.0]
