"""The pipe between the server and its engine's process: what is sent arrives, whole or not at all, and every slot comes back."""

import gc
import logging
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipstream_server.config.settings import EngineSettings
from lipstream_server.engines.base import EngineLostError, Request
from lipstream_server.engines.remote.proxy import EngineProcess
from lipstream_server.engines.remote.shared_memory import Slots, shared_file
from lipstream_server.engines.remote.transport import (
    LEAST,
    EngineEnd,
    ServerEnd,
    open_pipe,
)
from lipstream_server.engines.stub import StubEngine

MANY = 2**24
WINDOW = (8, 64, 64, 3)
Ends = tuple[ServerEnd, EngineEnd]


@contextmanager
def piped(memory: int = MANY) -> Iterator[Ends]:
    """Both ends in this process."""
    server, engine = open_pipe(memory)
    try:
        yield server, engine
    finally:
        server.close()
        engine.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with piped() as both:
        yield both


def soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


def answered(ends: Ends, value: object) -> Any:
    """What the server gets where the engine's end sends this; each in a thread of its own, because the socket may be full."""
    server, engine = ends
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(engine.send, value)
        got = server.receive(soon())
        sending.result()
    return got


def asked(ends: Ends, value: object = None) -> Any:
    """What the engine's end gets where the server sends this; slots are given back with it."""
    server, engine = ends
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(server.send, value, soon())
        got = engine.receive()
        sending.result()
    return got


def pictures(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, WINDOW, np.uint8)


@st.composite
def arrays(draw: st.DrawFn) -> NDArray[Any]:
    """Of any shape, some of them transposed or cut, from nothing to more than what goes through the socket."""
    shape = draw(st.lists(st.integers(0, 40), max_size=4))
    kind = draw(st.sampled_from([np.uint8, np.float32, np.int64, np.bool_]))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, shape)
    whole = np.asarray(values).astype(kind)
    forms: list[Callable[[NDArray[Any]], NDArray[Any]]] = [lambda a: a, np.transpose, lambda a: a[..., ::2]]
    return draw(st.sampled_from(forms if whole.ndim else forms[:1]))(whole)


@given(st.lists(arrays(), max_size=4), st.binary(max_size=3 * LEAST), st.sampled_from([LEAST, MANY]))
@settings(max_examples=60, deadline=None)
def test_what_is_sent_is_what_arrives(sent: list[NDArray[Any]], rest: bytes, memory: int) -> None:
    with piped(memory) as ends:
        for way in (answered, asked):
            got, other = way(ends, (sent, rest))
            assert other == rest
            assert [(each.dtype, each.shape) for each in got] == [(each.dtype, each.shape) for each in sent]
            for ours, theirs in zip(got, sent, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_a_slot_is_given_back_with_the_next_call_once_its_last_picture_is_gone(ends: Ends) -> None:
    _, engine = ends
    first, second = answered(ends, [pictures(1), pictures(2)])
    kept = first[3]
    del first, second
    asked(ends)
    assert engine.slots == 1
    np.testing.assert_array_equal(kept, pictures(1)[3])
    del kept
    asked(ends)
    assert engine.slots == 0


def test_what_is_kept_is_not_written_over(ends: Ends) -> None:
    kept = []
    for number in range(20):
        window = answered(ends, pictures(number))
        kept.append(window[number % 8])
        del window
        asked(ends)
    for number, picture in enumerate(kept):
        np.testing.assert_array_equal(picture, pictures(number)[number % 8])


def test_memory_that_was_used_is_used_again(ends: Ends) -> None:
    for number in range(20):
        window = answered(ends, pictures(number))
        assert not window.flags.owndata
        assert not window.flags.writeable
        del window
        asked(ends)
    assert ends[1].slots == 0
    assert not any(ends[0]._memory[2 * pictures(0).nbytes :])


def test_where_no_slot_is_free_pictures_come_through_the_socket() -> None:
    with piped(pictures(0).nbytes) as ends:
        kept = [answered(ends, pictures(number)) for number in range(4)]
        assert ends[1].slots == 1
        for number, window in enumerate(kept):
            np.testing.assert_array_equal(window, pictures(number))
        del kept, window
        asked(ends)
        assert ends[1].slots == 0


def test_what_is_large_and_no_array_goes_through_memory_too_and_keeps_no_slot(ends: Ends) -> None:
    big = os.urandom(10 * LEAST)
    assert answered(ends, big) == big
    assert ends[1].slots == 1
    asked(ends)
    assert ends[1].slots == 0


class Deadly:
    """Who pickles it is killed."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        os.kill(os.getpid(), signal.SIGKILL)
        return Deadly, ()


def answers(pipe: EngineEnd) -> None:
    """In a process of its own: pictures of the number that is asked for; below 0, it is killed when it has written them."""
    with suppress(EOFError):
        while True:
            number = pipe.receive()
            pipe.send((pictures(abs(number)), Deadly() if number < 0 else None))


def breaks_off(pipe: EngineEnd) -> None:
    """In a process of its own: it ends in the middle of a message."""
    pipe.receive()
    pipe._line.send(bytes(5))
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def elsewhere(run: Callable[[EngineEnd], None]) -> Iterator[ServerEnd]:
    """The server's end, where the other one is in another process."""
    server, engine = open_pipe(MANY)
    process = get_context("forkserver").Process(target=run, args=(engine,), daemon=True)
    process.start()
    engine.close()
    try:
        yield server
    finally:
        server.close()
        process.join()
        process.close()


def ask(server: ServerEnd, number: int) -> Any:
    server.send(number, soon())
    return server.receive(soon())[0]


def test_it_reaches_another_process() -> None:
    with elsewhere(answers) as server:
        for number in range(6):
            np.testing.assert_array_equal(ask(server, number), pictures(number))


def test_a_process_that_is_killed_when_it_has_written_leaves_an_error_and_no_torn_picture() -> None:
    with elsewhere(answers) as server:
        kept = [ask(server, number) for number in range(3)]
        with pytest.raises((EOFError, OSError)):
            ask(server, -7)
    for number, window in enumerate(kept):
        np.testing.assert_array_equal(window, pictures(number))


def test_half_a_message_is_an_error() -> None:
    with elsewhere(breaks_off) as server, pytest.raises((EOFError, OSError)):
        ask(server, 0)


def test_one_that_says_nothing_and_one_that_takes_nothing_are_given_up(ends: Ends) -> None:
    server, _ = ends
    with pytest.raises(TimeoutError):
        server.receive(soon(0.05))
    with pytest.raises(TimeoutError):
        server.send(bytes(MANY), soon(0.05))


def test_what_the_server_cannot_have_got_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        _, engine = open_pipe(MANY)
        engine.close()
        server = ServerEnd(ours, mmap.mmap(-1, LEAST))
        for size, slots in ((0, [(LEAST - 10, 11)]), (2**60, []), (0, [])):
            head = size.to_bytes(8, "little") + len(slots).to_bytes(4, "little")
            theirs.send(head + b"".join(n.to_bytes(8, "little") for slot in slots for n in slot))
            with pytest.raises(OSError, match="expected a"):
                server.receive(soon())


@given(st.lists(st.one_of(st.integers(1, 90_000), st.integers(-30, -1)), max_size=60))
def test_slots_never_overlap_and_all_of_them_come_back(steps: list[int]) -> None:
    """steps: bytes to take, or, below 0, which of those that are taken to give back."""
    size = 2**18
    slots = Slots(size)
    taken: list[tuple[int, int]] = []
    for step in steps:
        if step > 0:
            place = slots.take(step)
            if place is not None:
                assert 0 <= place <= size - step
                assert all(place + step <= begin or begin + most <= place for begin, most in taken)
                taken.append((place, step))
        elif taken:
            slots.give_back(taken.pop(step % len(taken))[0])
    for place, _ in taken:
        slots.give_back(place)
    assert (slots.taken, slots.take(size)) == (0, 0)


def test_a_slot_that_nobody_has_cannot_be_given_back() -> None:
    slots = Slots(2**16)
    assert slots.take(1) == 0
    with pytest.raises(ValueError, match="got one at 4096"):
        slots.give_back(4096)


@pytest.mark.skipif(sys.platform != "linux", reason="others cannot seal a file")
def test_nobody_can_cut_off_what_the_server_reads() -> None:
    file = shared_file(MANY)
    try:
        for size in (0, 2 * MANY):
            with pytest.raises(PermissionError):
                os.ftruncate(file, size)
    finally:
        os.close(file)


def test_it_works_where_there_are_no_files_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with elsewhere(answers) as server:
        np.testing.assert_array_equal(ask(server, 5), pictures(5))


@pytest.mark.slow
def test_nothing_is_left_of_fifty_lives(caplog: pytest.LogCaptureFixture) -> None:
    """Neither files nor memory, although the last pictures of each are gone only after it."""
    caplog.set_level(
        logging.CRITICAL, "lipstream_server.engines.remote.proxy"
    )  # what is captured keeps its errors
    often = EngineSettings(max_restarts=1, restart_period_seconds=1e-6)  # no pause: each is the first
    with EngineProcess(StubEngine, often).start() as engine:
        samples = np.zeros(engine.samples_needed(8), np.float32)
        before = _held()
        for _ in range(50):
            request = Request(engine.begin("red", "exact", 0), samples, 0, 8, False)
            last = engine.generate([request])[0].frames
            assert not last.flags.owndata
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            with pytest.raises(EngineLostError):
                engine.generate([request])
            assert last.any()
        assert engine.health.restarts == 50
        del last, request
        assert _held() == before


def _held() -> tuple[int, int]:
    """Open files of this process, and how often it sees an engine's memory."""
    gc.collect()
    seen = Path("/proc/self/maps").read_text().count("memfd:lipstream")
    return len(os.listdir("/proc/self/fd")), seen
