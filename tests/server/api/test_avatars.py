"""The faces of a server over HTTP: which there are, and bringing one's own."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from live_server import (
    CALM,
    ask,
    connected,
    get,
    read_answer,
    running,
)
from PIL import Image
from portraits import encoded
from rest_client import ask_json, post

from lipstream_server.api.app import create_app
from lipstream_server.avatars.image import cropped
from lipstream_server.avatars.registry import AvatarRegistry
from lipstream_server.config.settings import AvatarSettings, ServerSettings, UploadSettings
from lipstream_server.engines.base import OpenedStream, PortraitError
from lipstream_server.engines.stub import COLOURS, StubEngine
from lipstream_server.media.arrays import RgbImage
from lipstream_server.protocol import (
    MediaTag,
    SessionReady,
    SessionStart,
    TaggedMedia,
)
from lipstream_server.scheduling.scheduler import Scheduler
from lipstream_server.storage.storage import Storage

PATH = "/v1/avatars"


def portrait(colour: str) -> bytes:
    return encoded(Image.new("RGB", (8, 8), colour), "PNG")


async def problem(address: str, body: bytes, path: str = PATH, **headers: str) -> tuple[int, dict]:
    status, answered, content = await ask(address, "POST", path, body, **headers)
    assert answered["content-type"] == "application/problem+json"
    answer = json.loads(content)
    assert (answer["status"], answer["type"]) == (status, "about:blank")
    assert answer["detail"]
    return status, answer


async def test_avatar_list_begins_with_the_default_and_every_preview_is_an_image() -> None:
    async with running() as address:
        status, _, body = await get(address, PATH)
        avatars = json.loads(body)["avatars"]
        assert status == 200
        assert [avatar["id"] for avatar in avatars] == list(COLOURS)
        assert avatars[0] == {
            "id": "red",
            "name": "Red",
            "preview": "/v1/avatars/red/preview",
            "bundled": True,
            "notes": [],
        }
        for avatar in avatars:
            status, headers, content = await ask(address, "GET", avatar["preview"])
            head, head_headers, nothing = await ask(address, "HEAD", avatar["preview"])
            assert (head, head_headers | {"date": ""}, nothing) == (status, headers | {"date": ""}, b"")
            assert (status, headers["content-type"]) == (200, "image/jpeg")
            assert headers["x-content-type-options"] == "nosniff"
            with Image.open(io.BytesIO(content)) as image:
                middle = np.array(image.convert("RGB"))[32, 32].astype(int)
            assert np.abs(middle - COLOURS[avatar["id"]]).max() < 12


async def test_image_becomes_an_avatar_that_speaks() -> None:
    async with running() as address:
        image = portrait("orange")
        status, headers, content = await ask(address, "POST", f"{PATH}?name=My%20aunt", image)
        avatar = json.loads(content)
        assert (status, avatar["name"], avatar["bundled"]) == (201, "My aunt", False)
        assert headers["location"] == f"{PATH}/{avatar['id']}"
        assert len(avatar["id"]) == 16
        again, _, content = await ask(address, "POST", f"{PATH}?name=Other", image)
        assert (again, json.loads(content)) == (200, avatar)
        listed = json.loads((await get(address, PATH))[2])["avatars"]
        assert listed[-1] == avatar
        _, _, preview = await ask(address, "GET", avatar["preview"])
        with Image.open(io.BytesIO(preview)) as image:
            shown = np.array(image.convert("RGB"))[32, 32].astype(int)
        start = SessionStart(avatar=avatar["id"], container="rgb")
        async with connected(address, start) as client:
            ready = client.received[0]
            assert isinstance(ready, SessionReady)
            assert ready.avatar == avatar["id"]
            unit = TaggedMedia.unpack((await client.media(1))[0])
    assert unit.tag is MediaTag.RGB
    assert np.abs(np.frombuffer(unit.payload, np.uint8)[:3] - shown).max() < 12


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "image_empty"),
        (b"<svg></svg>", 415, "not_an_image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(5000), 413, "image_too_large"),
    ],
)
async def test_file_that_is_no_image_is_refused_whatever_its_declared_type(
    body: bytes, status: int, code: str
) -> None:
    settings = CALM.replace(avatars=AvatarSettings(max_image_bytes=4000))
    async with running(settings=settings) as address:
        got, answer = await problem(address, body, content_type="image/png")
        assert (got, answer["code"]) == (status, code)
        assert len(json.loads((await get(address, PATH))[2])["avatars"]) == len(COLOURS)


async def test_chunked_body_is_refused_when_it_is_too_long() -> None:
    async with running(settings=CALM.replace(avatars=AvatarSettings(max_image_bytes=4000))) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        head = f"POST {PATH} HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + (b"1000\r\n" + bytes(4096) + b"\r\n"))  # and more would follow
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 30)
        writer.close()
    assert read_answer(answer)[0] == 413


async def test_upload_that_does_not_arrive_times_out() -> None:
    settings = CALM.replace(uploads=UploadSettings(timeout_seconds=0.2, max_concurrent=1))
    async with running(settings=settings) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 99\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 30)
        writer.close()
        assert read_answer(answer)[0] == 408
        assert (await ask(address, "POST", PATH, portrait("teal")))[0] == 201  # the upload slot is free again


class FacelessEngine(StubEngine):
    def register(self, avatar: str, picture: RgbImage) -> list[str]:
        raise PortraitError("no_face", "expected a picture with one face; found none")


async def test_portrait_error_of_the_engine_reaches_the_client() -> None:
    async with running(FacelessEngine()) as address:
        assert (await problem(address, portrait("red")))[1]["code"] == "no_face"


async def test_routing_errors_are_problem_details() -> None:
    async with running() as address:
        for method, path, status, code in (
            ("GET", f"{PATH}/nobody/preview", 404, "unknown_avatar"),
            ("GET", "/v1/nothing", 404, "not_found"),
            ("DELETE", PATH, 405, "method_not_allowed"),
            ("POST", f"{PATH}?name={'x' * 81}", 400, "bad_request"),
        ):
            got, headers, content = await ask(address, method, path)
            assert (got, json.loads(content)["code"]) == (status, code)
            assert headers["content-type"] == "application/problem+json"


@asynccontextmanager
async def registry(engine: StubEngine, root: Path, settings: AvatarSettings) -> AsyncIterator[AvatarRegistry]:
    async with Storage(root) as storage, Scheduler(engine) as scheduler:
        yield AvatarRegistry(engine, scheduler, storage, settings)


class CountingEngine(StubEngine):
    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.registered: list[str] = []

    def open(self, avatar: str, preset: str) -> OpenedStream:
        self.opened += 1
        return super().open(avatar, preset)

    def register(self, avatar: str, picture: RgbImage) -> Sequence[str]:
        self.registered.append(avatar)
        return super().register(avatar, picture)

    def unregister(self, avatar: str) -> None:
        self.registered.remove(avatar)
        super().unregister(avatar)


async def test_engine_evicts_unused_avatars_and_the_disk_keeps_all(tmp_path: Path) -> None:
    engine = CountingEngine()
    async with registry(engine, tmp_path, AvatarSettings(max_loaded=2)) as avatars:
        ids = []
        for colour in ("red", "green"):
            (file := tmp_path / "posted").write_bytes(portrait(colour))
            ids.append((await avatars.add(file, None))[0].id)
        await avatars.open(ids[0], "realtime")  # the other one is now the one unused for longest
        with avatars.in_use(ids[0]):
            (file := tmp_path / "posted").write_bytes(portrait("blue"))
            ids.append((await avatars.add(file, None))[0].id)
            assert engine.registered == [ids[0], ids[2]]
            await avatars.open(ids[1], "realtime")  # from the disk
            assert engine.registered == [ids[0], ids[1]]  # and never the one that is used
    async with registry(CountingEngine(), tmp_path, AvatarSettings()) as avatars:
        assert [avatar.id for avatar in (await avatars.page(None, 50, None))[len(COLOURS) :]] == ids
        await avatars.open(ids[2], "realtime")


async def test_opened_streams_are_cached_up_to_a_limit(tmp_path: Path) -> None:
    engine = CountingEngine()
    async with registry(engine, tmp_path, AvatarSettings(max_prepared_streams=2)) as avatars:
        for avatar in ("red", "green", "red", "blue", "red", "green"):
            await avatars.open(avatar, "realtime")
    assert engine.opened == 4  # green made room for blue


async def test_avatar_is_removed_unless_it_is_bundled_or_in_use(tmp_path: Path) -> None:
    async with running(data=tmp_path) as address:
        avatar = (await post(address, PATH, image=portrait("teal"), name="Teal"))[2]
        where = f"{PATH}/{avatar['id']}"
        assert (await ask_json(address, "GET", where))[1] == avatar
        async with connected(address, SessionStart(avatar=avatar["id"])):
            assert (await ask_json(address, "DELETE", where))[1]["code"] == "avatar_in_use"
        async with asyncio.timeout(30):
            while (await ask(address, "DELETE", where))[0] != 204:
                await asyncio.sleep(0.02)
        assert (await ask_json(address, "GET", where))[1]["code"] == "unknown_avatar"
        assert list((tmp_path / "avatars").iterdir()) == []
        status, answer = await ask_json(address, "DELETE", f"{PATH}/red")
        assert (status, answer["code"]) == (403, "avatar_bundled")


async def test_crop_makes_another_avatar_and_the_list_has_pages() -> None:
    async with running() as address:
        whole = (await post(address, PATH, image=portrait("teal")))[2]
        status, _, part = await post(address, PATH, image=portrait("teal"), crop="0.25,0,0.5,0.5")
        assert (status, part["id"] == whole["id"]) == (201, False)
        status, _, answer = await post(address, PATH, image=portrait("teal"), crop="0.75,0,0.5,0.5")
        assert (status, answer["code"]) == (422, "crop_outside")
        seen, path = [], f"{PATH}?limit=2"
        while path:
            page = (await ask_json(address, "GET", path))[1]
            seen += [avatar["id"] for avatar in page["avatars"]]
            path = f"{PATH}?limit=2&cursor={page['next']}" if page["next"] else ""
        assert seen == [*COLOURS, whole["id"], part["id"]]


def test_crop_is_a_part_of_the_image_and_never_empty() -> None:
    image = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    assert np.array_equal(cropped(image, (0.25, 0.5, 0.5, 0.25)), image[2:3, 2:6])
    assert cropped(image, (0.999, 0.999, 0.001, 0.001)).shape == (1, 1, 3)


async def test_avatars_are_busy_while_the_model_loads() -> None:
    app = create_app(StubEngine, ServerSettings(max_sessions=1))  # not started: nothing is loaded
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": PATH, "headers": [], "query_string": b""}
    await app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"] == b"5"
    assert json.loads(sent[1]["body"])["code"] == "busy"
