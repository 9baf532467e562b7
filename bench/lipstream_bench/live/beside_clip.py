"""A live session while a clip is generated: `python -m lipstream_bench.live.beside_clip --minutes 2`."""

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

from ..machine.machine import describe_machine
from .server_process import ServerProcess, serving
from .sustained import Sustained, measure_session

_PORT = 8772
_AVATAR = "finn"


@dataclass(frozen=True)
class BesideClip:
    """Figures of a session and of the clip beside it.

    Attributes:
        session: The session.
        clip_state: State of the clip at the end of the session.
        clip_frames: Frames of the clip that were generated meanwhile.
        clip_frames_total: Frames of the whole clip.
    """

    session: Sustained
    clip_state: str
    clip_frames: int
    clip_frames_total: int


async def measure_beside_clip(server: ServerProcess, speech: bytes, minutes: float) -> BesideClip:
    """Measure a session beside a clip that is three times as long, so that it does not end before it.

    Args:
        server: The server.
        speech: s16le, 16 kHz mono.
        minutes: Length of the session.
    """
    rest = RestClient(server.url.replace("ws:", "http:", 1))
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "long.wav"
        write_repeated_wav(audio, speech, seconds=180 * minutes)
        clip = await asyncio.to_thread(rest.create_clip, audio, avatar=_AVATAR)
    session = await measure_session(server, speech, minutes)
    clip_now = await asyncio.to_thread(rest.clip, clip.id)
    await asyncio.to_thread(rest.cancel_clip, clip.id)
    return BesideClip(session, clip_now.state, clip_now.frames_done, clip_now.frames_total)


def write_repeated_wav(path: Path, speech: bytes, seconds: float) -> None:
    """Write s16le speech as a WAV file of a length, repeated."""
    size = 2 * round(seconds * RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((speech * (size // len(speech) + 1))[:size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="Length of the session in minutes.")
    parser.add_argument("--json", type=Path, default=None, help="JSON file for the results.")
    arguments = parser.parse_args()
    speech = read_audio(recording_path())
    with serving(["--max-sessions", "2"], _PORT) as server:
        figures = asdict(asyncio.run(measure_beside_clip(server, speech, arguments.minutes)))
    text = json.dumps({"machine": describe_machine(), **figures}, indent=2)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
