"""The engine in a process of its own, which crashes, hangs, runs out of memory: what comes out is what would have come."""

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
    Made,
    OutOfMemoryError,
    PortraitError,
    Request,
    Stream,
    UnknownAvatarError,
)
from lipstream_server.engines.lookahead_table import HearingTable
from lipstream_server.engines.remote.proxy import EngineProcess
from lipstream_server.engines.remote.restart_policy import Losses
from lipstream_server.engines.remote.worker import EngineFaultError
from lipstream_server.engines.stub import StubEngine

QUICK = EngineSettings(window_timeout_seconds=0.5, call_timeout_seconds=30.0, max_restarts=4)
SAMPLES = np.random.default_rng(0).normal(0, 0.3, 16_000 * 4).astype(np.float32)


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(StubEngine, QUICK).start() as started:
        yield started


def window(engine: StubEngine | EngineProcess, stream: Stream, number: int, frames: int = 8) -> Request:
    """The window of this number, of the same sound for everybody."""
    given = engine.samples_needed(number * frames) if number else 0
    return Request(
        stream,
        SAMPLES[given : engine.samples_needed((number + 1) * frames)],
        number * frames,
        frames,
        False,
    )


def made(engine: EngineProcess, request: Request) -> Made:
    """The window, asked for again where the engine was lost at it."""
    try:
        return engine.generate([request])[0]
    except EngineLostError:
        return engine.generate([request])[0]


def kill(engine: EngineProcess, by: signal.Signals = signal.SIGKILL) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, by)


def test_it_is_what_the_engine_is(engine: EngineProcess) -> None:
    here = StubEngine()
    assert (engine.name, engine.size, engine.fps) == (here.name, here.size, here.fps)
    assert tuple(engine.avatars) == tuple(here.avatars)
    assert tuple(engine.presets) == tuple(here.presets)
    assert engine.pid != os.getpid()
    opened = engine.open("green", "exact")
    np.testing.assert_array_equal(opened.idle, here.open("green", "exact").idle)
    assert opened.stream.batch_key == here.open("green", "exact").stream.batch_key
    np.testing.assert_array_equal(engine.preview("blue"), here.preview("blue"))


@pytest.mark.parametrize("lost_before", [0, 1, 3])
def test_a_stream_goes_on_as_if_its_engine_had_not_been_lost(engine: EngineProcess, lost_before: int) -> None:
    here = StubEngine()
    theirs, ours = engine.begin("green", "exact", 7), here.begin("green", "exact", 7)
    for number in range(5):
        if number == lost_before:
            kill(engine)
        result = made(engine, window(engine, theirs, number))
        expected = here.generate([window(here, ours, number)])[0]
        np.testing.assert_array_equal(result.frames, expected.frames)
        theirs, ours = result.stream, expected.stream
        engine.look_back([theirs])
    assert engine.health.restarts == 1
    assert engine.health.state == "running"


def test_an_engine_that_stands_still_is_killed_and_started_again(engine: EngineProcess) -> None:
    stream = engine.begin("red", "exact", 0)
    stream = engine.generate([window(engine, stream, 0)])[0].stream
    before = engine.pid
    kill(engine, signal.SIGSTOP)
    assert len(made(engine, window(engine, stream, 1)).frames) == 8
    assert engine.health.restarts == 1
    assert before is not None
    assert gone([before])


def test_one_that_is_lost_while_nobody_asks_is_back_before_somebody_does(engine: EngineProcess) -> None:
    engine.generate([window(engine, engine.begin("red", "exact", 0), 0)])
    for by in (signal.SIGKILL, signal.SIGSTOP):
        kill(engine, by)
        engine.check()
    assert engine.health.restarts == 2


def test_portraits_are_known_after_a_loss_and_forgotten_ones_are_not(engine: EngineProcess) -> None:
    for name, digit in (("someone", b"1"), ("other", b"2")):
        engine.register(name, engine.read_picture(b"\x89PNG\r\n\x1a\n" + digit))
    before = engine.preview("someone")
    engine.forget("other")
    kill(engine)
    np.testing.assert_array_equal(engine.preview("someone"), before)
    with pytest.raises(UnknownAvatarError, match="no avatar 'other'"):
        engine.begin("other", "exact", 0)


def test_streams_that_the_server_forgets_are_forgotten(engine: EngineProcess) -> None:
    stream = engine.begin("red", "exact", 0)
    for number in range(12):
        stream = made(engine, window(engine, stream, number)).stream
        if number == 6:
            kill(engine)
    for _ in range(30):
        engine.open("blue", "exact")
    engine.check()
    # The last of each, and the window that would warm the next process.
    assert engine._call("check") <= 4


def test_signals_for_the_server_do_not_reach_it(engine: EngineProcess) -> None:
    before = engine.pid
    kill(engine, signal.SIGINT)
    kill(engine, signal.SIGTERM)
    engine.check()
    assert (engine.pid, engine.health.restarts) == (before, 0)


def test_a_window_that_no_process_outlives_fails_and_others_do_not() -> None:
    with EngineProcess(poisoned, QUICK).start() as engine:
        grey, red = engine.begin("grey", "exact", 0), engine.begin("red", "exact", 0)
        for _ in range(2):
            with pytest.raises(EngineLostError, match="ended with code -9 at generate") as failed:
                engine.generate([window(engine, grey, 0), window(engine, red, 0)])
            assert not isinstance(failed.value, EngineGoneError)
        assert len(engine.generate([window(engine, red, 0)])[0].frames) == 8
        assert engine.health.restarts == 2


def test_an_engine_that_is_lost_too_often_is_given_up() -> None:
    with EngineProcess(dying, QUICK).start() as engine:
        stream = engine.begin("red", "exact", 0)
        for _ in range(4):
            with pytest.raises(EngineLostError):
                engine.generate([window(engine, stream, 0)])
        with pytest.raises(EngineGoneError, match="lost more than 4 times within 300 s"):
            engine.generate([window(engine, stream, 0)])
        assert engine.health.state == "lost"
        with pytest.raises(EngineGoneError):
            engine.check()


def test_what_an_engine_raises_is_raised_here() -> None:
    with EngineProcess(narrow, QUICK).start() as engine:
        stream = engine.begin("red", "exact", 0)
        with pytest.raises(OutOfMemoryError, match="no room for 2 windows"):
            engine.generate([window(engine, stream, 0)] * 2)
        with pytest.raises(UnknownAvatarError, match="only red, green"):
            engine.begin("nobody", "exact", 0)
        with pytest.raises(PortraitError) as refused:
            engine.read_picture(b"")
        assert refused.value.code == "picture_empty"
        with pytest.raises(EngineFaultError, match=r"ValueError: expected 6400 samples"):
            engine.generate([Request(stream, SAMPLES[:10], 0, 8, False)])
        assert engine.health.restarts == 0


def test_what_loading_raises_is_for_whoever_started_the_server() -> None:
    with EngineProcess(raising, QUICK) as engine, pytest.raises(EngineFaultError) as failed:
        engine.start()
    assert str(failed.value) == "expected a model, got none; bring one"
    assert failed.value.exit_code == 2


def test_one_that_is_closed_ends_at_once_and_is_not_started_again() -> None:
    engine = EngineProcess(partial(StubEngine, seconds_per_window=60.0), QUICK).start()
    assert engine.pid is not None
    began = time.monotonic()
    stream = engine.begin("red", "exact", 0)
    engine.close()
    with pytest.raises(EngineGoneError):
        engine.generate([window(engine, stream, 0)])
    assert gone([engine.pid])
    assert time.monotonic() - began < 30


def test_an_engine_that_is_calm_is_never_killed() -> None:
    settings = EngineSettings(window_timeout_seconds=0.01, window_timeout_factor=50.0)
    with EngineProcess(calm, settings).start() as engine:
        stream = engine.begin("red", "exact", 0)
        for number in range(4):
            stream = engine.generate([window(engine, stream, number)])[0].stream
        assert engine.health.restarts == 0


@given(
    st.integers(1, 12).flatmap(lambda hop: st.tuples(st.just(hop), st.integers(0, hop - 1))),
    st.integers(-100, 1000),
    st.integers(0, 100_000),
)
def test_how_much_sound_is_needed_is_known_without_asking(
    grid: tuple[int, int], after: int, frames: int
) -> None:
    needed = WindowGrid(hop=grid[0], offset=grid[1], after=after).samples_for
    assert HearingTable.of(lambda rows: needed(rows + 2)).needed(frames) == needed(frames + 2)


def test_a_rule_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="equally more sound"):
        HearingTable.of(lambda frames: frames * frames)


def test_losses_are_waited_after_longer_and_longer_until_there_are_too_many() -> None:
    losses = Losses(most=4, within=100.0)
    assert [losses.add(now) for now in (0.0, 1.0, 2.0, 3.0, 4.0)] == [0.0, 0.25, 0.5, 1.0, None]
    assert Losses(most=1, within=100.0).add(0.0) == 0.0
    calm = Losses(most=1, within=100.0)
    assert [calm.add(now) for now in (0.0, 100.0, 200.0)] == [0.0, 0.0, 0.0]
