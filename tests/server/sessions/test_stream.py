"""Audio in, video out, over a real WebSocket."""

from fractions import Fraction

import numpy as np
from decoded_video import decode
from live_server import (
    SessionEnd,
    UtteranceEnd,
    connected,
    running,
    tone,
)

from lipstream_server.engines.stub import StubEngine
from lipstream_server.protocol import (
    SessionReady,
    SessionStart,
    UtteranceEnded,
    UtteranceStarted,
)


async def test_stream_is_gapless_and_audio_matches_its_frames() -> None:
    async with running(StubEngine()) as address, connected(address, SessionStart(avatar="blue")) as client:
        ready = client.received[0]
        assert isinstance(ready, SessionReady)
        assert ready.media_type == 'video/mp4; codecs="avc1.42C00A,mp4a.40.2"'
        audio = tone(1.5)
        for at in range(0, len(audio), 999):  # chunks that end within a sample
            await client.send(audio[at : at + 999])
        await client.send(UtteranceEnd())
        started = await client.until(UtteranceStarted)
        ended = await client.until(UtteranceEnded)
        await client.media(2)
        await client.send(SessionEnd())
        assert await client.to_the_end() == 1000
    assert client.kinds() == ["session.ready", "utterance.started", "utterance.ended", "session.closing"]
    assert (started.utterance, ended.utterance, ended.interrupted) == (1, 1, False)
    assert ended.position_ms == 1500
    frames, blocks = decode(b"".join(client.binary))
    times = [frame.pts * frame.time_base for frame in frames]
    assert times == [Fraction(number, 25) for number in range(len(frames))]
    received = np.concatenate([block.to_ndarray()[0] for block in blocks])
    samples = len(frames) * 48_000 // 25
    assert samples <= len(received) < samples + 1024  # the last packet is whole
    # The stub's bar shows the audio level of its own frame: audio and video start and end together.
    bar = np.array([frame.to_ndarray(format="rgb24")[56:, 2].mean() > 200 for frame in frames])
    loud = np.abs(received[:samples].reshape(len(frames), -1)).max(1) > 0.1
    assert np.flatnonzero(loud)[0] == np.flatnonzero(bar)[0] == round(started.at_ms / 40)
    assert abs(np.flatnonzero(loud)[-1] - np.flatnonzero(bar)[-1]) <= 1
    assert bar.sum() in (37, 38)
