"""The pipe between the server and its engine's process: messages arrive complete or not at all, and every slot is released."""

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
from lipstream_server.engines.base import EngineLostError, WindowRequest
from lipstream_server.engines.remote.proxy import EngineProcess
from lipstream_server.engines.remote.shared_memory import SlotAllocator, open_shared_file
from lipstream_server.engines.remote.transport import (
    MIN_SLOT_BYTES,
    EngineEnd,
    ServerEnd,
    open_pipe,
)
from lipstream_server.engines.stub import StubEngine

MEMORY = 2**24
WINDOW = (8, 64, 64, 3)
Ends = tuple[ServerEnd, EngineEnd]


@contextmanager
def open_ends(memory: int = MEMORY) -> Iterator[Ends]:
    """Open both ends in this process."""
    server, engine = open_pipe(memory)
    try:
        yield server, engine
    finally:
        server.close()
        engine.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with open_ends() as both:
        yield both


def in_seconds(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


def send_to_server(ends: Ends, value: object) -> Any:
    """Return what the server receives; sent by a thread of its own, because the socket may be full."""
    server, engine = ends
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(engine.send, value)
        got = server.receive(in_seconds())
        sending.result()
    return got


def send_to_engine(ends: Ends, value: object = None) -> Any:
    """Return what the engine's end receives; slots are released with it."""
    server, engine = ends
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(server.send, value, in_seconds())
        got = engine.receive()
        sending.result()
    return got


def random_frames(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, WINDOW, np.uint8)


@st.composite
def arrays(draw: st.DrawFn) -> NDArray[Any]:
    """Arrays of any shape, some transposed or strided, from empty to larger than the limit of the socket."""
    shape = draw(st.lists(st.integers(0, 40), max_size=4))
    kind = draw(st.sampled_from([np.uint8, np.float32, np.int64, np.bool_]))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, shape)
    whole = np.asarray(values).astype(kind)
    forms: list[Callable[[NDArray[Any]], NDArray[Any]]] = [lambda a: a, np.transpose, lambda a: a[..., ::2]]
    return draw(st.sampled_from(forms if whole.ndim else forms[:1]))(whole)


@given(
    st.lists(arrays(), max_size=4),
    st.binary(max_size=3 * MIN_SLOT_BYTES),
    st.sampled_from([MIN_SLOT_BYTES, MEMORY]),
)
@settings(max_examples=60, deadline=None)
def test_messages_arrive_unchanged_in_both_directions(
    sent: list[NDArray[Any]], rest: bytes, memory: int
) -> None:
    with open_ends(memory) as ends:
        for send in (send_to_server, send_to_engine):
            got, other = send(ends, (sent, rest))
            assert other == rest
            assert [(each.dtype, each.shape) for each in got] == [(each.dtype, each.shape) for each in sent]
            for ours, theirs in zip(got, sent, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_slot_is_released_with_the_next_call_after_its_last_view_is_gone(ends: Ends) -> None:
    _, engine = ends
    first, second = send_to_server(ends, [random_frames(1), random_frames(2)])
    held = first[3]
    del first, second
    send_to_engine(ends)
    assert engine.slots == 1
    np.testing.assert_array_equal(held, random_frames(1)[3])
    del held
    send_to_engine(ends)
    assert engine.slots == 0


def test_frames_that_the_server_holds_are_not_overwritten(ends: Ends) -> None:
    held = []
    for number in range(20):
        window = send_to_server(ends, random_frames(number))
        held.append(window[number % 8])
        del window
        send_to_engine(ends)
    for number, frame in enumerate(held):
        np.testing.assert_array_equal(frame, random_frames(number)[number % 8])


def test_released_memory_is_reused(ends: Ends) -> None:
    for number in range(20):
        window = send_to_server(ends, random_frames(number))
        assert not window.flags.owndata
        assert not window.flags.writeable
        del window
        send_to_engine(ends)
    assert ends[1].slots == 0
    assert not any(ends[0]._memory[2 * random_frames(0).nbytes :])


def test_arrays_go_through_the_socket_when_no_slot_is_free() -> None:
    with open_ends(random_frames(0).nbytes) as ends:
        held = [send_to_server(ends, random_frames(number)) for number in range(4)]
        assert ends[1].slots == 1
        for number, window in enumerate(held):
            np.testing.assert_array_equal(window, random_frames(number))
        del held, window
        send_to_engine(ends)
        assert ends[1].slots == 0


def test_large_pickles_go_through_shared_memory_and_release_their_slot(ends: Ends) -> None:
    big = os.urandom(10 * MIN_SLOT_BYTES)
    assert send_to_server(ends, big) == big
    assert ends[1].slots == 1
    send_to_engine(ends)
    assert ends[1].slots == 0


class Deadly:
    """A value that kills the process that pickles it."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        os.kill(os.getpid(), signal.SIGKILL)
        return Deadly, ()


def serve_frames(pipe: EngineEnd) -> None:
    """Send frames of the requested number, in another process; below 0, die after they are written."""
    with suppress(EOFError):
        while True:
            number = pipe.receive()
            pipe.send((random_frames(abs(number)), Deadly() if number < 0 else None))


def send_half_a_message(pipe: EngineEnd) -> None:
    """Die in the middle of a message, in another process."""
    pipe.receive()
    pipe._line.send(bytes(5))
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def other_process(run: Callable[[EngineEnd], None]) -> Iterator[ServerEnd]:
    """Run a function with the engine's end in another process."""
    server, engine = open_pipe(MEMORY)
    process = get_context("forkserver").Process(target=run, args=(engine,), daemon=True)
    process.start()
    engine.close()
    try:
        yield server
    finally:
        server.close()
        process.join()
        process.close()


def request(server: ServerEnd, number: int) -> Any:
    server.send(number, in_seconds())
    return server.receive(in_seconds())[0]


def test_frames_arrive_from_another_process() -> None:
    with other_process(serve_frames) as server:
        for number in range(6):
            np.testing.assert_array_equal(request(server, number), random_frames(number))


def test_process_killed_before_sending_leaves_an_error_and_intact_frames() -> None:
    with other_process(serve_frames) as server:
        held = [request(server, number) for number in range(3)]
        with pytest.raises((EOFError, OSError)):
            request(server, -7)
    for number, window in enumerate(held):
        np.testing.assert_array_equal(window, random_frames(number))


def test_truncated_message_is_an_error() -> None:
    with other_process(send_half_a_message) as server, pytest.raises((EOFError, OSError)):
        request(server, 0)


def test_server_times_out_on_a_silent_and_on_a_full_pipe(ends: Ends) -> None:
    server, _ = ends
    with pytest.raises(TimeoutError):
        server.receive(in_seconds(0.05))
    with pytest.raises(TimeoutError):
        server.send(bytes(MEMORY), in_seconds(0.05))


def test_invalid_sizes_and_slots_are_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        _, engine = open_pipe(MEMORY)
        engine.close()
        server = ServerEnd(ours, mmap.mmap(-1, MIN_SLOT_BYTES))
        for size, slots in ((0, [(MIN_SLOT_BYTES - 10, 11)]), (2**60, []), (0, [])):
            head = size.to_bytes(8, "little") + len(slots).to_bytes(4, "little")
            theirs.send(head + b"".join(n.to_bytes(8, "little") for slot in slots for n in slot))
            with pytest.raises(OSError, match="expected a"):
                server.receive(in_seconds())


@given(st.lists(st.one_of(st.integers(1, 90_000), st.integers(-30, -1)), max_size=60))
def test_slots_never_overlap_and_all_are_released(steps: list[int]) -> None:
    """A step above 0 allocates that many bytes, one below 0 releases a slot."""
    size = 2**18
    slots = SlotAllocator(size)
    used: list[tuple[int, int]] = []
    for step in steps:
        if step > 0:
            offset = slots.allocate(step)
            if offset is not None:
                assert 0 <= offset <= size - step
                assert all(offset + step <= begin or begin + length <= offset for begin, length in used)
                used.append((offset, step))
        elif used:
            slots.release(used.pop(step % len(used))[0])
    for offset, _ in used:
        slots.release(offset)
    assert (len(slots), slots.allocate(size)) == (0, 0)


def test_free_slot_cannot_be_released() -> None:
    slots = SlotAllocator(2**16)
    assert slots.allocate(1) == 0
    with pytest.raises(ValueError, match="got 4096"):
        slots.release(4096)


@pytest.mark.skipif(sys.platform != "linux", reason="others cannot seal a file")
def test_shared_file_cannot_be_truncated() -> None:
    file = open_shared_file(MEMORY)
    try:
        for size in (0, 2 * MEMORY):
            with pytest.raises(PermissionError):
                os.ftruncate(file, size)
    finally:
        os.close(file)


def test_pipe_works_without_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with other_process(serve_frames) as server:
        np.testing.assert_array_equal(request(server, 5), random_frames(5))


@pytest.mark.slow
def test_fifty_restarts_leak_neither_files_nor_memory(caplog: pytest.LogCaptureFixture) -> None:
    """The last frames of each process are dropped only after it has died."""
    caplog.set_level(
        logging.CRITICAL, "lipstream_server.engines.remote.proxy"
    )  # captured records hold their errors
    often = EngineSettings(
        max_restarts=1, restart_period_seconds=1e-6
    )  # no delay: each death counts as the first
    with EngineProcess.create(StubEngine, often).start() as engine:
        samples = np.zeros(engine.samples_needed(8), np.float32)
        before = _resources()
        for _ in range(50):
            request = WindowRequest(engine.create_stream("red", "exact", 0), samples, 0, 8, False)
            last = engine.generate([request])[0].frames
            assert not last.flags.owndata
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            with pytest.raises(EngineLostError):
                engine.generate([request])
            assert last.any()
        assert engine.health.restarts == 50
        del last, request
        assert _resources() == before


def _resources() -> tuple[int, int]:
    """Return the numbers of open files and of mapped shared memories of this process."""
    gc.collect()
    mappings = Path("/proc/self/maps").read_text().count("memfd:lipstream")
    return len(os.listdir("/proc/self/fd")), mappings
