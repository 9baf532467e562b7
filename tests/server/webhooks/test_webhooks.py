"""A clip that has ended is told of: signed, until somebody takes it, whatever happens to the server meanwhile."""

import asyncio
import json
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from gated_engines import Failing, Gated
from live_server import (
    CALM,
    ask,
    running,
    until,
)
from rest_client import (
    CLIPS,
    ask_json,
    finished,
    post,
    wav,
)
from scraped_metrics import scrape
from server_process import serving
from webhook_receiver import (
    SECRET,
    receiving,
    statuses,
    webhooks,
)

from lipstream_client.rest import RestClient
from lipstream_client.webhook import verify_webhook
from lipstream_server.clips import state as clip_state
from lipstream_server.clips.state import (
    Clip,
    Delivery,
    DeliveryState,
    Order,
    State,
)
from lipstream_server.clips.table import (
    add_clip,
    find_clip,
    remove_clip,
    save_clip,
)
from lipstream_server.clips.transitions import change
from lipstream_server.config.settings import ServerSettings, WebhookSettings
from lipstream_server.engines.base import EngineError
from lipstream_server.storage.storage import Storage
from lipstream_server.webhooks.client import Answer
from lipstream_server.webhooks.sender import attempted
from lipstream_server.webhooks.table import due, forget_outgoing

ORDER = Order("amara", "realtime", 0, 64, 64, "mp4", 25, 100, "https://example.com/hook")


def sending(settings: WebhookSettings | None = None) -> ServerSettings:
    return CALM.replace(webhooks=settings or webhooks())


async def told(address: str, clip: str, *states: str) -> dict[str, Any]:
    """The clip's webhook, once it is in one of these states."""
    async with asyncio.timeout(60):
        while True:
            said = (await ask_json(address, "GET", f"{CLIPS}/{clip}"))[1]
            if said["webhook"]["state"] in states:
                return dict(said["webhook"])
            await asyncio.sleep(0.02)


async def test_a_message_is_signed_and_sent_again_until_it_is_taken() -> None:
    with receiving(statuses(500)) as receiver:
        async with running(settings=sending()) as address:
            status, _, clip = await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url)
            assert status == 202
            assert clip["webhook"]["host"] == "127.0.0.1"
            sent = await told(address, clip["id"], "delivered")
            seen = await scrape(address)
    assert sent == {"host": "127.0.0.1", "state": "delivered", "attempts": 2, "next_attempt_at": None}
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert first.path == "/hooks/1?a=b"
    assert first.headers["host"] == f"127.0.0.1:{receiver.port}"
    for got in receiver.requests:
        message = verify_webhook(SECRET, got.headers, got.body)
        assert message["type"] == "clip.succeeded"
        assert message["data"] == {
            "id": clip["id"],
            "state": "succeeded",
            "url": clip["url"],
            "video": clip["video"],
            "seconds": 0.4,
            "error": None,
        }
    assert seen[("lipstream_webhooks_total", ("failed",))] == 1
    assert seen[("lipstream_webhooks_total", ("delivered",))] == 1


async def test_failures_and_cancellations_are_told_too() -> None:
    engine = Gated()
    with receiving() as receiver:
        async with running(engine, sending()) as address:
            engine.close_gate()
            clips = [
                (await post(address, CLIPS, audio=wav(1), webhook_url=receiver.url))[2] for _ in range(2)
            ]
            assert clips[1]["webhook"] == {
                "host": "127.0.0.1",
                "state": "waiting",
                "attempts": 0,
                "next_attempt_at": None,
            }
            _, cancelled = await ask_json(address, "POST", f"{clips[1]['url']}/cancel")
            assert cancelled["webhook"]["state"] == "pending"
            await told(address, clips[1]["id"], "delivered")
            engine.open_gate()
        failing = Failing(EngineError("expected another face"))
        async with running(failing, sending()) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), seed="1", webhook_url=receiver.url))[2]
            await told(address, clip["id"], "delivered")
    messages = [json.loads(got.body) for got in receiver.requests]
    by_clip = {each["data"]["id"]: (each["type"], each["data"]["error"]) for each in messages}
    assert by_clip[clips[1]["id"]] == ("clip.cancelled", None)
    assert by_clip[clip["id"]] == ("clip.failed", "avatar_unusable")


async def test_redirects_are_not_followed_and_in_the_end_it_is_given_up() -> None:
    with receiving(statuses(then=302, location="/elsewhere")) as receiver:
        async with running(settings=sending()) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url))[2]
            sent = await told(address, clip["id"], "given_up")
            assert (sent["attempts"], sent["next_attempt_at"]) == (3, None)
            assert (await finished(address, clip["id"]))["state"] == "succeeded"
    assert {got.path for got in receiver.requests} == {"/hooks/1?a=b"}
    assert len(receiver.ids) == 1


def endless(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def long_head(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"x-more: much\r\n" * 10_000 + b"\r\n")


def silent(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.rfile.read(1)  # until the sender hangs up


def no_http(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")


@pytest.mark.parametrize(
    ("answer", "state"),
    [(endless, "delivered"), (long_head, "given_up"), (silent, "given_up"), (no_http, "given_up")],
)
async def test_a_receiver_cannot_keep_the_server_busy(answer: Any, state: str) -> None:
    with receiving(answer) as receiver:
        async with running(settings=sending(webhooks(pauses=(), seconds=0.5))) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url))[2]
            assert (await told(address, clip["id"], "delivered", "given_up"))["state"] == state


async def test_one_that_is_slow_does_not_hold_up_the_others() -> None:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        (statuses() if handler.path == "/fast" else silent)(handler, number)

    with receiving(answer) as receiver:
        async with running(settings=sending(webhooks(seconds=600))) as address:
            place = receiver.url.rpartition("/hooks")[0]
            for _ in range(2):
                slow = (await post(address, CLIPS, audio=wav(0.4), webhook_url=f"{place}/slow"))[2]
            fast = (await post(address, CLIPS, audio=wav(0.4), webhook_url=f"{place}/fast"))[2]
            await told(address, fast["id"], "delivered")
            assert (await told(address, slow["id"], "pending"))["attempts"] == 0


async def test_a_clip_that_its_owner_removes_is_told_of_no_more(tmp_path: Path) -> None:
    with receiving(statuses(then=500)) as receiver:
        async with running(settings=sending(webhooks(pauses=(600.0,))), data=tmp_path) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url))[2]
            await until(lambda: len(receiver.requests) == 1)
            sent = await told(address, clip["id"], "pending")
            while not sent["attempts"]:
                sent = await told(address, clip["id"], "pending")
            assert sent["next_attempt_at"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
            assert (await ask(address, "DELETE", clip["url"]))[0] == 204
        async with Storage(tmp_path) as storage:
            assert await storage.transact(due, time.time() + 10_000, 10, ()) == ([], None)


def test_what_was_not_taken_before_kill_9_is_sent_after_the_next_start(tmp_path: Path) -> None:
    killed = threading.Event()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if not number:
            killed.wait(60)
        statuses()(handler, number)

    variables = {"LIPSTREAM_WEBHOOKS__SECRET": SECRET, "LIPSTREAM_WEBHOOKS__ALLOWED_HOSTS": "127.0.0.1"}
    (speech := tmp_path / "speech.wav").write_bytes(wav(0.4))
    with receiving(answer) as receiver:
        with serving(tmp_path / "data", **variables) as server:
            clip = RestClient(f"http://{server.address}").create_clip(speech, webhook_url=receiver.url)
            _wait(lambda: len(receiver.requests) == 1)
            server.signal(signal.SIGKILL)
            server.wait(20)
            killed.set()
        with serving(tmp_path / "data", **variables) as server:
            rest = RestClient(f"http://{server.address}")
            _wait(lambda: (rest.clip(clip.id).webhook or {})["state"] == "delivered")
    assert len(receiver.requests) == 2
    assert len(receiver.ids) == 1
    assert verify_webhook(SECRET, receiver.requests[1].headers, receiver.requests[1].body)


def _wait(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def _cancel(clip: Clip) -> Clip:
    return clip_state.cancel(clip, 5.0)


async def test_the_end_of_a_clip_and_its_message_are_kept_together(tmp_path: Path) -> None:
    def fails(connection: Any) -> None:
        change(connection, "clip_1", _cancel)
        raise RuntimeError("the power is cut")

    async with Storage(tmp_path) as storage:
        await storage.transact(add_clip, "clip_1", ORDER, 1.0)
        with pytest.raises(RuntimeError, match="power"):
            await storage.transact(fails)
        before = await storage.transact(find_clip, "clip_1")
        assert before is not None
        assert (before.state, before.delivery) == (State.QUEUED, None)
        assert await storage.transact(due, 10.0, 5, ()) == ([], None)
        after = await storage.transact(change, "clip_1", _cancel)
        assert after == await storage.transact(find_clip, "clip_1")
        assert after is not None
        assert after.delivery == Delivery(DeliveryState.PENDING, 0, 5.0)
        (outgoing,), later = await storage.transact(due, 10.0, 5, ())
        assert (outgoing.clip, outgoing.url, later) == ("clip_1", ORDER.webhook_url, None)
        assert await storage.transact(due, 4.0, 5, ()) == ([], 5.0)
        assert await storage.transact(due, 10.0, 5, ("clip_1",)) == ([], None)
        await storage.transact(change, "clip_1", _cancel)  # a second end changes nothing
        assert (await storage.transact(due, 10.0, 5, ()))[0] == [outgoing]


async def test_a_clip_that_fails_when_the_server_starts_is_told_of(tmp_path: Path) -> None:
    async with Storage(tmp_path) as storage:
        clip = await storage.transact(add_clip, "clip_1", ORDER, 1.0)
        await storage.transact(save_clip, clip_state.begin(clip, 2.0))
    async with Storage(tmp_path) as storage:  # its recording is gone
        (outgoing,), _ = await storage.transact(due, time.time() + 1, 5, ())
    assert json.loads(outgoing.body)["data"]["error"] == "file_missing"


async def test_messages_outlive_clips_that_make_room_and_are_forgotten_then(tmp_path: Path) -> None:
    async with Storage(tmp_path) as storage:
        await storage.transact(add_clip, "clip_1", ORDER, 1.0)
        await storage.transact(change, "clip_1", _cancel)
        await storage.transact(remove_clip, "clip_1")
        await storage.transact(forget_outgoing, 4.0)
        assert len((await storage.transact(due, 10.0, 5, ()))[0]) == 1
        await storage.transact(forget_outgoing, 6.0)
        assert await storage.transact(due, 10.0, 5, ()) == ([], None)


@pytest.mark.parametrize(
    ("before", "answer", "state", "next_attempt"),
    [
        (0, Answer(200), "delivered", None),
        (2, Answer(299), "delivered", None),
        (0, Answer(199), "pending", 110.0),
        (0, Answer(300), "pending", 110.0),
        (0, None, "pending", 110.0),
        (1, Answer(500), "pending", 140.0),
        (2, Answer(500), "given_up", None),
        (2, None, "given_up", None),
        (0, Answer(410), "given_up", None),
        (0, Answer(429, 300.0), "pending", 400.0),
        (0, Answer(503, 1.0), "pending", 110.0),
        (0, Answer(503, 1e8), "pending", 3700.0),
    ],
)
def test_when_it_is_sent_again(
    before: int, answer: Answer | None, state: str, next_attempt: float | None
) -> None:
    after = attempted(Delivery(DeliveryState.PENDING, before, 100.0), answer, 100.0, (5.0, 20.0), 2.0)
    assert after == Delivery(DeliveryState(state), before + 1, next_attempt)
