"""Short soak test; `python -m lipstream_bench.reliability.soak --minutes 60` is the long one."""

import json
from collections import Counter

import pytest

from lipstream_bench.live.server_process import serving
from lipstream_bench.reliability.soak import run_soak
from lipstream_bench.reliability.soak_report import Sample, SoakReport
from lipstream_client.recording import read_audio
from lipstream_models.bundled import recording_path
from lipstream_server.commands.demo import free_port


@pytest.mark.slow
async def test_server_does_not_grow_over_many_sessions() -> None:
    with serving(["--stub", "--max-sessions", "4"], free_port(8790)) as server:
        report = await run_soak(server, 0.75, 4, read_audio(recording_path()), round_seconds=4.0)
    print(report)
    assert {"ends", "interrupts", "vanishes", "vanishes speaking"} <= set(report.sessions)
    assert not [way for way in report.sessions if way.startswith("failed")]
    assert report.clips == len(report.samples)
    assert report.growth() == []


def test_growth_is_reported() -> None:
    flat = SoakReport([Sample(10.0 * n, 200 + n % 3, 10, 8, 20) for n in range(20)])
    leaking = SoakReport([Sample(10.0 * n, 200 + 5 * n, 10, 8 + n, 20) for n in range(20)])
    assert flat.growth() == []
    assert len(leaking.growth()) == 2
    assert "NOT FLAT: tasks 14 -> 25" in str(leaking)


def test_soak_report_can_be_written_as_json() -> None:
    sample = Sample(1.0, 100.0, 10, 8, 20)
    report = SoakReport([sample] * 6, Counter({"ends": 2, "vanishes": 1}), 3)
    values = json.loads(json.dumps(report.as_json()))
    assert (values["growth"], values["sessions"], values["clips"]) == ([], {"ends": 2, "vanishes": 1}, 3)
    assert values["samples"][0]["memory_mb"] == 100.0
