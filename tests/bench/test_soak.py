"""The short form of an hour: sessions come, interrupt and vanish, and in the end the server is as it was.

`python -m lipstream_bench.reliability.soak --minutes 60` is the long one.
"""

import json
from collections import Counter

import pytest

from lipstream_bench.live.server_process import serving
from lipstream_bench.reliability.soak import Sample, Soaked, soak
from lipstream_client.recording import read_audio
from lipstream_models.bundled import recording_path
from lipstream_server.commands.demo import free_port


@pytest.mark.slow
async def test_sessions_that_come_and_go_leave_nothing_behind() -> None:
    with serving(["--stub", "--max-sessions", "4"], free_port(8790)) as server:
        soaked = await soak(server, 0.75, 4, read_audio(recording_path()), round_seconds=4.0)
    print(soaked)
    assert {"ends", "interrupts", "vanishes", "vanishes speaking"} <= set(soaked.sessions)
    assert not [way for way in soaked.sessions if way.startswith("failed")]
    assert soaked.clips == len(soaked.samples)
    assert soaked.grown() == []


def test_what_grows_is_told() -> None:
    flat = Soaked([Sample(10.0 * n, 200 + n % 3, 10, 8, 20) for n in range(20)])
    leaking = Soaked([Sample(10.0 * n, 200 + 5 * n, 10, 8 + n, 20) for n in range(20)])
    assert flat.grown() == []
    assert len(leaking.grown()) == 2
    assert "NOT FLAT: tasks 14 -> 25" in str(leaking)


def test_what_a_soak_found_can_be_written_down() -> None:
    sample = Sample(1.0, 100.0, 10, 8, 20)
    soaked = Soaked([sample] * 6, Counter({"ends": 2, "vanishes": 1}), 3)
    said = json.loads(json.dumps(soaked.said()))
    assert (said["grown"], said["sessions"], said["clips"]) == ([], {"ends": 2, "vanishes": 1}, 3)
    assert said["samples"][0]["memory_mb"] == 100.0
