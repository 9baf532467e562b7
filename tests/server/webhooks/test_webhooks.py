"""Webhooks: signed messages about ended clips, repeated until they are delivered, across restarts of the server."""

import asyncio
import json
import signal
import threading
import time
from dataclasses import replace
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
from lipstream_server.clips import transitions
from lipstream_server.clips.recovery import recover_clips
from lipstream_server.clips.state import (
    ClipSpec,
    Delivery,
    DeliveryState,
    State,
)
from lipstream_server.clips.table import (
    add_clip,
    find_clip,
    remove_clip,
    save_clip,
)
from lipstream_server.config.settings import ServerSettings, WebhookSettings
from lipstream_server.engines.base import EngineError
from lipstream_server.storage.storage import Storage
from lipstream_server.webhooks.client import WebhookResponse
from lipstream_server.webhooks.outbox import WebhookOutbox
from lipstream_server.webhooks.sender import delivery_after_attempt
from lipstream_server.webhooks.table import due_webhooks, purge_webhooks

SPEC = ClipSpec("amara", "realtime", 0, 64, 64, "mp4", 25, 100, "https://example.com/hook")
OUTBOX = WebhookOutbox()


def sending(settings: WebhookSettings | None = None) -> ServerSettings:
    return CALM.replace(webhooks=settings or webhooks())


async def delivery_of(address: str, clip: str, *states: str) -> dict[str, Any]:
    """Return the delivery of a clip's webhook, once it is in one of these states."""
    async with asyncio.timeout(60):
        while True:
            answer = (await ask_json(address, "GET", f"{CLIPS}/{clip}"))[1]
            if answer["webhook"]["state"] in states:
                return dict(answer["webhook"])
            await asyncio.sleep(0.02)


async def test_message_is_signed_and_repeated_until_it_is_delivered() -> None:
    with receiving(statuses(500)) as receiver:
        async with running(settings=sending()) as address:
            status, _, clip = await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url)
            assert status == 202
            assert clip["webhook"]["host"] == "127.0.0.1"
            sent = await delivery_of(address, clip["id"], "delivered")
            metrics = await scrape(address)
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
    assert metrics[("lipstream_webhooks_total", ("failed",))] == 1
    assert metrics[("lipstream_webhooks_total", ("delivered",))] == 1


async def test_failed_and_cancelled_clips_send_webhooks() -> None:
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
            await delivery_of(address, clips[1]["id"], "delivered")
            engine.open_gate()
        failing = Failing(EngineError("expected another face"))
        async with running(failing, sending()) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), seed="1", webhook_url=receiver.url))[2]
            await delivery_of(address, clip["id"], "delivered")
    messages = [json.loads(got.body) for got in receiver.requests]
    by_clip = {each["data"]["id"]: (each["type"], each["data"]["error"]) for each in messages}
    assert by_clip[clips[1]["id"]] == ("clip.cancelled", None)
    assert by_clip[clip["id"]] == ("clip.failed", "avatar_unusable")


async def test_redirects_are_not_followed_and_the_webhook_is_given_up() -> None:
    with receiving(statuses(then=302, location="/elsewhere")) as receiver:
        async with running(settings=sending()) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url))[2]
            sent = await delivery_of(address, clip["id"], "given_up")
            assert (sent["attempts"], sent["next_attempt_at"]) == (3, None)
            assert (await finished(address, clip["id"]))["state"] == "succeeded"
    assert {got.path for got in receiver.requests} == {"/hooks/1?a=b"}
    assert len(receiver.ids) == 1


def endless(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def endless_headers(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"x-more: much\r\n" * 10_000 + b"\r\n")


def silent(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.rfile.read(1)  # until the sender hangs up


def not_http(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")


@pytest.mark.parametrize(
    ("answer", "state"),
    [(endless, "delivered"), (endless_headers, "given_up"), (silent, "given_up"), (not_http, "given_up")],
)
async def test_receiver_cannot_keep_the_server_busy(answer: Any, state: str) -> None:
    with receiving(answer) as receiver:
        async with running(settings=sending(webhooks(pauses=(), seconds=0.5))) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url))[2]
            assert (await delivery_of(address, clip["id"], "delivered", "given_up"))["state"] == state


async def test_slow_receiver_does_not_delay_others() -> None:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        (statuses() if handler.path == "/fast" else silent)(handler, number)

    with receiving(answer) as receiver:
        async with running(settings=sending(webhooks(seconds=600))) as address:
            root = receiver.url.rpartition("/hooks")[0]
            for _ in range(2):
                slow = (await post(address, CLIPS, audio=wav(0.4), webhook_url=f"{root}/slow"))[2]
            fast = (await post(address, CLIPS, audio=wav(0.4), webhook_url=f"{root}/fast"))[2]
            await delivery_of(address, fast["id"], "delivered")
            assert (await delivery_of(address, slow["id"], "pending"))["attempts"] == 0


async def test_removed_clip_sends_no_webhook(tmp_path: Path) -> None:
    with receiving(statuses(then=500)) as receiver:
        async with running(settings=sending(webhooks(pauses=(600.0,))), data=tmp_path) as address:
            clip = (await post(address, CLIPS, audio=wav(0.4), webhook_url=receiver.url))[2]
            await until(lambda: len(receiver.requests) == 1)
            sent = await delivery_of(address, clip["id"], "pending")
            while not sent["attempts"]:
                sent = await delivery_of(address, clip["id"], "pending")
            assert sent["next_attempt_at"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
            assert (await ask(address, "DELETE", clip["url"]))[0] == 204
        async with Storage(tmp_path) as storage:
            assert await storage.transact(due_webhooks, time.time() + 10_000, 10, ()) == ([], None)


def test_undelivered_webhook_is_sent_after_a_killed_server_restarts(tmp_path: Path) -> None:
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


async def test_final_state_and_its_message_are_stored_together(tmp_path: Path) -> None:
    def fails(connection: Any) -> None:
        transitions.cancel(connection, OUTBOX, "clip_1", 5.0)
        raise RuntimeError("the power is cut")

    async with Storage(tmp_path) as storage:
        await storage.transact(add_clip, "clip_1", SPEC, 1.0)
        with pytest.raises(RuntimeError, match="power"):
            await storage.transact(fails)
        before = await storage.transact(find_clip, "clip_1")
        assert before is not None
        assert (before.state, before.delivery) == (State.QUEUED, None)
        assert await storage.transact(due_webhooks, 10.0, 5, ()) == ([], None)
        after = await storage.transact(transitions.cancel, OUTBOX, "clip_1", 5.0)
        assert after == await storage.transact(find_clip, "clip_1")
        assert after is not None
        assert after.delivery == Delivery(DeliveryState.PENDING, 0, 5.0)
        (webhook,), later = await storage.transact(due_webhooks, 10.0, 5, ())
        assert (webhook.clip, webhook.url, later) == ("clip_1", SPEC.webhook_url, None)
        assert await storage.transact(due_webhooks, 4.0, 5, ()) == ([], 5.0)
        assert await storage.transact(due_webhooks, 10.0, 5, ("clip_1",)) == ([], None)
        await storage.transact(transitions.cancel, OUTBOX, "clip_1", 5.0)  # a second end changes nothing
        assert (await storage.transact(due_webhooks, 10.0, 5, ()))[0] == [webhook]


async def test_clip_that_fails_in_recovery_sends_a_webhook(tmp_path: Path) -> None:
    async with Storage(tmp_path) as storage:
        clip = await storage.transact(add_clip, "clip_1", SPEC, 1.0)
        await storage.transact(save_clip, replace(clip, state=State.RUNNING, started=2.0))
    async with Storage(tmp_path) as storage:  # its recording is gone
        await storage.transact(recover_clips, storage.files, OUTBOX, time.time())
        (webhook,), _ = await storage.transact(due_webhooks, time.time() + 1, 5, ())
    assert json.loads(webhook.body)["data"]["error"] == "file_missing"


async def test_message_of_an_expired_clip_is_kept_until_it_is_due(tmp_path: Path) -> None:
    async with Storage(tmp_path) as storage:
        await storage.transact(add_clip, "clip_1", SPEC, 1.0)
        await storage.transact(transitions.cancel, OUTBOX, "clip_1", 5.0)
        await storage.transact(remove_clip, "clip_1")
        await storage.transact(purge_webhooks, 4.0)
        assert len((await storage.transact(due_webhooks, 10.0, 5, ()))[0]) == 1
        await storage.transact(purge_webhooks, 6.0)
        assert await storage.transact(due_webhooks, 10.0, 5, ()) == ([], None)


@pytest.mark.parametrize(
    ("before", "answer", "state", "next_attempt"),
    [
        (0, WebhookResponse(200), "delivered", None),
        (2, WebhookResponse(299), "delivered", None),
        (0, WebhookResponse(199), "pending", 110.0),
        (0, WebhookResponse(300), "pending", 110.0),
        (0, None, "pending", 110.0),
        (1, WebhookResponse(500), "pending", 140.0),
        (2, WebhookResponse(500), "given_up", None),
        (2, None, "given_up", None),
        (0, WebhookResponse(410), "given_up", None),
        (0, WebhookResponse(429, 300.0), "pending", 400.0),
        (0, WebhookResponse(503, 1.0), "pending", 110.0),
        (0, WebhookResponse(503, 1e8), "pending", 3700.0),
    ],
)
def test_next_attempt_follows_from_the_response(
    before: int, answer: WebhookResponse | None, state: str, next_attempt: float | None
) -> None:
    after = delivery_after_attempt(
        Delivery(DeliveryState.PENDING, before, 100.0), answer, 100.0, (5.0, 20.0), 2.0
    )
    assert after == Delivery(DeliveryState(state), before + 1, next_attempt)
