"""Hostile and broken uploads are refused with a code, cost little memory and leave nothing on the disk."""

import asyncio
import io
import json
import resource
import struct
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator
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

from lipstream_models.portrait import PictureError, load_portrait
from lipstream_server.config.settings import AvatarSettings, ClipSettings, UploadSettings
from lipstream_server.engines.model_images import portrait_error
from lipstream_server.engines.stub import StubEngine
from lipstream_server.media.arrays import RgbImage

AVATARS = "/v1/avatars"


class DecodingEngine(StubEngine):
    """A stub engine that decodes images as the real engine does."""

    def decode_image(self, data: bytes) -> RgbImage:
        try:
            return load_portrait(data)[:1, :1]
        except PictureError as error:
            raise portrait_error(error) from error


def png(side: int) -> bytes:
    """Return a PNG of side x side black pixels: small to send, gigabytes when decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(1 << 20))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("image.png", "none")
    return file.getvalue()


def cut_mp4() -> bytes:
    """Return an MP4 with its index in front, cut in the middle of its audio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut_mp4.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
            track = out.add_stream("aac", rate=16_000, layout="mono")
            noise = np.random.default_rng(1).uniform(-1, 1, (1, 160_000)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            frame.sample_rate = 16_000
            out.mux(track.encode(frame))
            out.mux(track.encode(None))
        whole = path.read_bytes()
    return whole[: len(whole) // 2]


def wav_with_false_length() -> bytes:
    """Return a WAV of one second whose header declares ten hours."""
    data = bytearray(wav(1))
    declared = 10 * 3600 * 32_000
    data[4:8], data[40:44] = struct.pack("<I", declared + 36), struct.pack("<I", declared)
    return bytes(data)


HOSTILE = {
    "a huge PNG": (AVATARS, "image", png(50_000), 413, "image_too_large"),
    "a zip as an image": (AVATARS, "image", archive(), 415, "not_an_image"),
    "an SVG": (AVATARS, "image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not_an_image"),
    "an empty image": (AVATARS, "image", b"", 422, "image_empty"),
    "half a PNG": (AVATARS, "image", png(64)[:60], 422, "image_damaged"),
    "a large image": (AVATARS, "image", bytes(1 << 21), 413, "image_too_large"),
    "a WAV with a false length": (CLIPS, "audio", wav_with_false_length(), 413, "recording_too_long"),
    "a long WAV": (CLIPS, "audio", wav(31), 413, "recording_too_long"),
    "a large recording": (CLIPS, "audio", wav(70), 413, "recording_too_large"),
    "a cut MP4": (CLIPS, "audio", cut_mp4(), 422, "recording_damaged"),
    "the head of an MP4": (CLIPS, "audio", cut_mp4()[:200], 415, "not_a_recording"),
    "a zip as a recording": (CLIPS, "audio", archive(), 415, "not_a_recording"),
    "an image as a recording": (CLIPS, "audio", png(8), 415, "not_a_recording"),
    "a playlist": (CLIPS, "audio", b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n", 415, "not_a_recording"),
    "a list of files": (
        CLIPS,
        "audio",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        415,
        "not_a_recording",
    ),
    "an empty recording": (CLIPS, "audio", b"", 422, "recording_empty"),
    "another part": (CLIPS, "../../evil", b"x", 400, "bad_request"),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, Path]]:
    data = tmp_path_factory.mktemp("data")
    few = CALM.replace(
        avatars=AvatarSettings(max_image_bytes=1 << 20),
        clips=ClipSettings(max_recording_bytes=2 << 20, max_recording_seconds=30),
        uploads=UploadSettings(timeout_seconds=1.0),
    )
    async with running(DecodingEngine(), few, data=data) as address:
        yield address, data


def stored_files(data: Path) -> list[str]:
    """Return the paths of all stored files but the database and the lock."""
    return [
        str(path.relative_to(data))
        for folder in data.iterdir()
        if folder.is_dir()
        for path in folder.rglob("*")
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile_upload_is_refused_and_leaves_nothing(server: tuple[str, Path], kind: str) -> None:
    address, data = server
    path, part, body, status, code = HOSTILE[kind]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got, headers, answer_body = await post(address, path, **{part: body})
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{kind}: {got} {answer_body['code']}, {grown:.0f} MB more")
    assert (got, answer_body["code"]) == (status, code)
    assert headers["content-type"] == "application/problem+json"
    assert grown < 100
    assert stored_files(data) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_slow_body_times_out(server: tuple[str, Path]) -> None:
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
    assert stored_files(data) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_file_paths_cannot_be_requested(server: tuple[str, Path]) -> None:
    address, _ = server
    for path in ("/v1/clips/..%2f..%2flipstream.db/video", "/v1/avatars/..%2flock/preview", "/v1/clips/lock"):
        status, _, content = await ask(address, "GET", path)
        assert (status, json.loads(content)["status"]) in ((400, 400), (404, 404))
