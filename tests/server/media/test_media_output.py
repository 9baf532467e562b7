"""The media of a session decodes to its frames and samples."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from lipstream_server.media.arrays import OUTPUT_SAMPLE_RATE
from lipstream_server.media.live.media_output import open_media_output
from lipstream_server.protocol import Container, MediaTag, TaggedMedia

SIDE, FPS = 64, 25
PER_FRAME = OUTPUT_SAMPLE_RATE // FPS


def media(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames that brighten in steps of five, and a second of silence before a tone of 440 Hz."""
    levels = (np.arange(frames) * 5 % 250).astype(np.uint8)
    brightening = np.broadcast_to(levels[:, None, None, None], (frames, SIDE, SIDE, 3)).copy()
    time = np.arange(frames * PER_FRAME) / OUTPUT_SAMPLE_RATE
    return brightening, np.where(time < 1, 0, 0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def encode(container: Container, frames: int, burst: int) -> tuple[str, list[bytes]]:
    out = open_media_output(container, SIDE, SIDE, FPS)
    video, audio = media(frames)
    messages = out.initial_messages()
    for at in range(0, frames, burst):
        samples = audio[at * PER_FRAME : (at + burst) * PER_FRAME]
        messages += out.encode(video[at : at + burst], samples, 0)
    return out.media_type, messages + out.flush()


@pytest.mark.parametrize("container", ["fmp4", "webm"])
@pytest.mark.parametrize("burst", [1, 2, 5])
def test_stream_decodes_to_every_frame_and_every_sample(container: Container, burst: int) -> None:
    media_type, messages = encode(container, 60, burst)
    with av.open(io.BytesIO(b"".join(messages))) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        frames, blocks = [], []
        for packet in file.demux(video, audio):
            for decoded in packet.decode():
                (frames if isinstance(decoded, av.VideoFrame) else blocks).append(decoded)
    times = [frame.pts * frame.time_base for frame in frames]
    tolerance = 0 if container == "fmp4" else Fraction(1, 1000)  # WebM counts in milliseconds
    assert len(frames) == 60
    assert all(abs(time - Fraction(i, FPS)) <= tolerance for i, time in enumerate(times))
    levels = [int(frame.to_ndarray(format="rgb24").mean()) for frame in frames]
    assert all(abs(level - i * 5 % 250) <= 6 for i, level in enumerate(levels))
    samples = np.concatenate([block.to_ndarray()[0] for block in blocks])
    start = round(blocks[0].pts * blocks[0].time_base * OUTPUT_SAMPLE_RATE)
    assert abs(start + len(samples) - 60 * PER_FRAME) <= OUTPUT_SAMPLE_RATE // 50
    first_loud = start + int(np.flatnonzero(np.abs(samples) > 0.2)[0])
    assert abs(first_loud - OUTPUT_SAMPLE_RATE) < OUTPUT_SAMPLE_RATE * 0.005
    assert (
        media_type
        == {
            "fmp4": 'video/mp4; codecs="avc1.42C00A,mp4a.40.2"',
            "webm": 'video/webm; codecs="vp8,opus"',
        }[container]
    )


@pytest.mark.parametrize("container", ["fmp4", "webm"])
def test_fragment_holds_the_frames_it_was_encoded_from(container: Container) -> None:
    """Nothing waits for the next fragment: a stream cut off after any of them has all frames so far."""
    _, messages = encode(container, 10, 2)
    for count in (2, 4):
        with av.open(io.BytesIO(b"".join(messages[: 1 + count]))) as file:
            assert len(list(file.decode(video=0))) == 2 * count


@pytest.mark.parametrize("container", ["fmp4", "webm"])
def test_repeated_frames_have_time_stamps_of_their_own(container: Container) -> None:
    """The same array is encoded several times in a row, and again after others."""
    dark, light = (np.full((SIDE, SIDE, 3), level, np.uint8) for level in (40, 200))
    shown = [dark, dark, dark, light, light, dark, light, dark, dark, dark]
    out = open_media_output(container, SIDE, SIDE, FPS)
    messages = out.initial_messages()
    for at in range(0, len(shown), 2):
        messages += out.encode(shown[at : at + 2], np.zeros(2 * PER_FRAME, np.float32), 0)
    with av.open(io.BytesIO(b"".join(messages + out.flush()))) as file:
        frames = list(file.decode(video=0))
    assert [round(frame.time * FPS) for frame in frames] == list(range(len(shown)))
    levels = [int(frame.to_ndarray(format="rgb24").mean()) for frame in frames]
    assert all(abs(level - int(frame[0, 0, 0])) <= 6 for level, frame in zip(levels, shown, strict=True))


def test_tagged_messages_carry_their_positions() -> None:
    _, messages = encode("rgb", 4, 2)
    units = [TaggedMedia.unpack(message) for message in messages]
    assert [unit.tag for unit in units] == [MediaTag.RGB, MediaTag.RGB, MediaTag.PCM] * 2
    assert [unit.position for unit in units] == [0, 1, 0, 2, 3, 2 * PER_FRAME]
    assert units[1].payload == media(4)[0][1].tobytes()
    assert len(units[2].payload) == 2 * 2 * PER_FRAME
    _, messages = encode("jpeg", 2, 1)
    frame = TaggedMedia.unpack(messages[2]).payload
    with av.open(io.BytesIO(frame)) as file:
        assert abs(int(next(file.decode(video=0)).to_ndarray(format="rgb24").mean()) - 5) <= 1


def test_malformed_tagged_message_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes, got 3"):
        TaggedMedia.unpack(b"abc")
    with pytest.raises(ValueError, match="9 is not a valid MediaTag"):
        TaggedMedia.unpack(b"\x09" + bytes(15))
