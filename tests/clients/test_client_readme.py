"""The code of the clients' README runs as it stands."""

import asyncio
import re
import wave
from pathlib import Path

import pytest
from decoded_video import decode
from live_server import running, tone

README = Path(__file__).parents[2] / "clients" / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


def test_readme_examples_are_short() -> None:
    assert [len([line for line in code.splitlines() if line]) <= 12 for code in EXAMPLES] == [True] * 5


@pytest.mark.parametrize("code", EXAMPLES, ids=("asyncio", "one call", "arrays", "a token", "a clip"))
async def test_readme_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speech.raw").write_bytes(tone(0.4))
    with wave.open("speech.wav", "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(tone(0.4))
    async with running() as address:
        runnable = code.replace("127.0.0.1:8000", address)
        await asyncio.to_thread(exec, runnable, {"__name__": "example"})
    if "talk.mp4" in code:
        assert len(decode((tmp_path / "talk.mp4").read_bytes())[0]) >= 10
