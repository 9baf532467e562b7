"""A live session while a clip is rendered beside it: `python -m lipstream_bench.live.beside_clip --minutes 2`."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import wave
from dataclasses import asdict, dataclass
from pathlib import Path

from lipstream_client.recording import RATE, read_audio
from lipstream_client.rest import RestClient
from lipstream_models.bundled import recording_path

from ..machine.machine import machine
from .server_process import ServerProcess, serving
from .sustained import Sustained, sustain

_PORT = 8772
_AVATAR = "finn"


@dataclass(frozen=True)
class BesideClip:
    """clip_state: at the end of the session. clip_frames: rendered in the meantime, of how many in all."""

    session: Sustained
    clip_state: str
    clip_frames: int
    clip_frames_total: int


async def beside(server: ServerProcess, speech: bytes, minutes: float) -> BesideClip:
    """speech: s16le, 16 kHz mono. The clip is three times as long as the session, so that it cannot end before it."""
    rest = RestClient(server.url.replace("ws:", "http:", 1))
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "long.wav"
        write_wave(audio, speech, seconds=180 * minutes)
        clip = await asyncio.to_thread(rest.create_clip, audio, avatar=_AVATAR)
    session = await sustain(server, speech, minutes)
    now = await asyncio.to_thread(rest.clip, clip.id)
    await asyncio.to_thread(rest.cancel_clip, clip.id)
    return BesideClip(session, now.state, now.frames_done, now.frames_total)


def write_wave(path: Path, speech: bytes, seconds: float) -> None:
    """The speech again and again, for so long."""
    size = 2 * round(seconds * RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((speech * (size // len(speech) + 1))[:size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    speech = read_audio(recording_path())
    with serving(["--max-sessions", "2"], _PORT) as server:
        figures = asdict(asyncio.run(beside(server, speech, arguments.minutes)))
    text = json.dumps({"machine": machine(), **figures}, indent=2)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
