"""What a session's media decodes to, frame by frame and sample by sample."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from lipstream_server.media.live.codecs import SOUND_RATE
from lipstream_server.media.live.media_output import open_media
from lipstream_server.protocol import Container, MediaTag, TaggedMedia

SIDE, FPS = 64, 25
PER_FRAME = SOUND_RATE // FPS


def made(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that brighten by steps of five, and a second of silence before a tone of 440 Hz."""
    levels = (np.arange(frames) * 5 % 250).astype(np.uint8)
    pictures = np.broadcast_to(levels[:, None, None, None], (frames, SIDE, SIDE, 3)).copy()
    time = np.arange(frames * PER_FRAME) / SOUND_RATE
    return pictures, np.where(time < 1, 0, 0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def written(container: Container, frames: int, burst: int) -> tuple[str, list[bytes]]:
    out = open_media(container, SIDE, SIDE, FPS)
    pictures, sound = made(frames)
    messages = out.begin()
    for at in range(0, frames, burst):
        samples = sound[at * PER_FRAME : (at + burst) * PER_FRAME]
        messages += out.write(pictures[at : at + burst], samples, 0)
    return out.media_type, messages + out.finish()


@pytest.mark.parametrize("container", ["fmp4", "webm"])
@pytest.mark.parametrize("burst", [1, 2, 5])
def test_a_stream_decodes_to_every_frame_and_every_sample(container: Container, burst: int) -> None:
    media_type, messages = written(container, 60, burst)
    with av.open(io.BytesIO(b"".join(messages))) as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        frames, blocks = [], []
        for packet in file.demux(video, sound):
            for decoded in packet.decode():
                (frames if isinstance(decoded, av.VideoFrame) else blocks).append(decoded)
    times = [frame.pts * frame.time_base for frame in frames]
    tolerance = 0 if container == "fmp4" else Fraction(1, 1000)  # WebM counts in milliseconds
    assert len(frames) == 60
    assert all(abs(time - Fraction(i, FPS)) <= tolerance for i, time in enumerate(times))
    levels = [int(frame.to_ndarray(format="rgb24").mean()) for frame in frames]
    assert all(abs(level - i * 5 % 250) <= 6 for i, level in enumerate(levels))
    heard = np.concatenate([block.to_ndarray()[0] for block in blocks])
    start = round(blocks[0].pts * blocks[0].time_base * SOUND_RATE)
    assert abs(start + len(heard) - 60 * PER_FRAME) <= SOUND_RATE // 50
    first_loud = start + int(np.flatnonzero(np.abs(heard) > 0.2)[0])
    assert abs(first_loud - SOUND_RATE) < SOUND_RATE * 0.005
    assert (
        media_type
        == {
            "fmp4": 'video/mp4; codecs="avc1.42C00A,mp4a.40.2"',
            "webm": 'video/webm; codecs="vp8,opus"',
        }[container]
    )


@pytest.mark.parametrize("container", ["fmp4", "webm"])
def test_a_fragment_holds_the_pictures_it_was_made_of(container: Container) -> None:
    """Nothing waits for the next fragment: cut off after any of them, all its pictures are there."""
    _, messages = written(container, 10, 2)
    for count in (2, 4):
        with av.open(io.BytesIO(b"".join(messages[: 1 + count]))) as file:
            assert len(list(file.decode(video=0))) == 2 * count


@pytest.mark.parametrize("container", ["fmp4", "webm"])
def test_held_pictures_are_frames_with_times_of_their_own(container: Container) -> None:
    """The very same array again and again, as while a picture is held, and again after others."""
    dark, light = (np.full((SIDE, SIDE, 3), level, np.uint8) for level in (40, 200))
    shown = [dark, dark, dark, light, light, dark, light, dark, dark, dark]
    out = open_media(container, SIDE, SIDE, FPS)
    messages = out.begin()
    for at in range(0, len(shown), 2):
        messages += out.write(shown[at : at + 2], np.zeros(2 * PER_FRAME, np.float32), 0)
    with av.open(io.BytesIO(b"".join(messages + out.finish()))) as file:
        frames = list(file.decode(video=0))
    assert [round(frame.time * FPS) for frame in frames] == list(range(len(shown)))
    levels = [int(frame.to_ndarray(format="rgb24").mean()) for frame in frames]
    assert all(abs(level - int(picture[0, 0, 0])) <= 6 for level, picture in zip(levels, shown, strict=True))


def test_tagged_pictures_and_sound_say_where_they_stand() -> None:
    _, messages = written("rgb", 4, 2)
    units = [TaggedMedia.unpack(message) for message in messages]
    assert [unit.tag for unit in units] == [MediaTag.RGB, MediaTag.RGB, MediaTag.PCM] * 2
    assert [unit.position for unit in units] == [0, 1, 0, 2, 3, 2 * PER_FRAME]
    assert units[1].payload == made(4)[0][1].tobytes()
    assert len(units[2].payload) == 2 * 2 * PER_FRAME
    _, messages = written("jpeg", 2, 1)
    picture = TaggedMedia.unpack(messages[2]).payload
    with av.open(io.BytesIO(picture)) as file:
        assert abs(int(next(file.decode(video=0)).to_ndarray(format="rgb24").mean()) - 5) <= 1


def test_a_message_that_is_no_tagged_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes, got 3"):
        TaggedMedia.unpack(b"abc")
    with pytest.raises(ValueError, match="9 is not a valid MediaTag"):
        TaggedMedia.unpack(b"\x09" + bytes(15))
