"""What means harm, or is only broken, is refused with its code, costs little memory and leaves nothing on the disk."""

import asyncio
import io
import json
import resource
import struct
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import pytest_asyncio
from live_server import CALM, ask, running
from rest_client import (
    CLIPS,
    form,
    post,
    wav,
)

from lipstream_models.portrait import ImageError, load_portrait
from lipstream_server.config.settings import AvatarSettings, ClipSettings, UploadSettings
from lipstream_server.engines.model_images import portrait_error
from lipstream_server.engines.stub import StubEngine
from lipstream_server.media.arrays import (
    RgbImage,
)

AVATARS = "/v1/avatars"


class Looking(StubEngine):
    """Reads pictures as the real engine does."""

    def decode_image(self, data: bytes) -> RgbImage:
        try:
            return load_portrait(data)[:1, :1]
        except ImageError as error:
            raise portrait_error(error) from error


def png(side: int) -> bytes:
    """A PNG of side x side black pixels that takes little to send and, decoded, gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(1 << 20))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("picture.png", "none")
    return file.getvalue()


def film() -> bytes:
    """An MP4 with its index in front, cut in the middle of its sound."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
            track = out.add_stream("aac", rate=16_000, layout="mono")
            noise = np.random.default_rng(1).uniform(-1, 1, (1, 160_000)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            frame.sample_rate = 16_000
            out.mux(track.encode(frame))
            out.mux(track.encode(None))
        whole = path.read_bytes()
    return whole[: len(whole) // 2]


def boastful() -> bytes:
    """A WAV of a second whose header claims ten hours."""
    sound = bytearray(wav(1))
    claimed = 10 * 3600 * 32_000
    sound[4:8], sound[40:44] = struct.pack("<I", claimed + 36), struct.pack("<I", claimed)
    return bytes(sound)


HOSTILE = {
    "a huge PNG": (AVATARS, "image", png(50_000), 413, "image_too_large"),
    "a zip as a picture": (AVATARS, "image", archive(), 415, "not_an_image"),
    "an SVG": (AVATARS, "image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not_an_image"),
    "no picture": (AVATARS, "image", b"", 422, "image_empty"),
    "half a PNG": (AVATARS, "image", png(64)[:60], 422, "image_damaged"),
    "a long picture": (AVATARS, "image", bytes(1 << 21), 413, "image_too_large"),
    "a boastful WAV": (CLIPS, "audio", boastful(), 413, "recording_too_long"),
    "a long WAV": (CLIPS, "audio", wav(31), 413, "recording_too_long"),
    "a large recording": (CLIPS, "audio", wav(70), 413, "recording_too_large"),
    "a cut MP4": (CLIPS, "audio", film(), 422, "recording_damaged"),
    "the head of an MP4": (CLIPS, "audio", film()[:200], 415, "not_a_recording"),
    "a zip as a recording": (CLIPS, "audio", archive(), 415, "not_a_recording"),
    "a picture as a recording": (CLIPS, "audio", png(8), 415, "not_a_recording"),
    "a playlist": (CLIPS, "audio", b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n", 415, "not_a_recording"),
    "a list of files": (
        CLIPS,
        "audio",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        415,
        "not_a_recording",
    ),
    "no recording": (CLIPS, "audio", b"", 422, "recording_empty"),
    "another part": (CLIPS, "../../evil", b"x", 400, "bad_request"),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, Path]]:
    data = tmp_path_factory.mktemp("data")
    few = replace(
        CALM,
        avatars=AvatarSettings(max_bytes=1 << 20),
        clips=ClipSettings(max_bytes=2 << 20, max_seconds=30),
        uploads=UploadSettings(seconds=1.0),
    )
    async with running(Looking(), few, data=data) as address:
        yield address, data


def there(data: Path) -> list[str]:
    """All but the database and the lock."""
    return [
        str(path.relative_to(data))
        for folder in data.iterdir()
        if folder.is_dir()
        for path in folder.rglob("*")
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_upload_is_refused_and_leaves_nothing(server: tuple[str, Path], kind: str) -> None:
    address, data = server
    path, part, body, status, code = HOSTILE[kind]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got, headers, said = await post(address, path, **{part: body})
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{kind}: {got} {said['code']}, {grown:.0f} MB more")
    assert (got, said["code"]) == (status, code)
    assert headers["content-type"] == "application/problem+json"
    assert grown < 100
    assert there(data) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_that_trickles_is_given_up(server: tuple[str, Path]) -> None:
    address, data = server
    body, kind = form(audio=wav(1))
    reader, writer = await asyncio.open_connection(*address.split(":"))
    head = f"POST {CLIPS} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode())
    answer = asyncio.create_task(reader.readuntil(b"}"))
    for byte in body[:200]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)
        if answer.done():
            break
    assert b'"code":"too_slow"' in await asyncio.wait_for(answer, 30)
    writer.close()
    assert there(data) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_paths_never_come_from_a_request(server: tuple[str, Path]) -> None:
    address, _ = server
    for path in ("/v1/clips/..%2f..%2flipstream.db/video", "/v1/avatars/..%2flock/preview", "/v1/clips/lock"):
        status, _, content = await ask(address, "GET", path)
        assert (status, json.loads(content)["status"]) in ((400, 400), (404, 404))
