"""What a real server writes into its log: one line an event, complete, and nothing that is nobody's business."""

import io
import json
import logging
import signal
import sys
from pathlib import Path

import pytest
from live_server import (
    Client,
    SessionEnd,
    UtteranceEnd,
    connected,
    get,
    tone,
)
from rest_client import (
    CLIPS,
    finished,
    post,
    wav,
)
from server_process import serving
from websockets.asyncio.client import connect

from lipstream_server.observability.logs import about, configure, log_event
from lipstream_server.protocol import (
    PATH,
    SessionReady,
    SessionStart,
    UtteranceEnded,
)

SECRET = "sesame-open-4711"


async def talk(address: str) -> str:
    """A session with one utterance, whose address has a token in its query; returns its id."""
    async with connect(f"ws://{address}{PATH}?token={SECRET}", max_size=None) as socket:
        client = Client(socket)
        await client.send(SessionStart())
        ready = await client.until(SessionReady)
        await client.send(tone(0.5))
        await client.send(UtteranceEnd())
        await client.until(UtteranceEnded)
        await client.send(SessionEnd())
        await client.to_the_end()
    return ready.session


async def test_every_line_is_json_and_tells_what_happened_without_secrets(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--log-format", "json", "--sessions", "1") as process:
        address = process.address
        session = await talk(address)
        async with connected(address, SessionStart()), connected(address) as late:
            await late.send(SessionStart())
            await late.to_the_end()
        await get(address, f"{CLIPS}?limit=0&key={SECRET}")
        _, _, clip = await post(address, CLIPS, audio=wav(0.5), avatar="red")
        await finished(address, clip["id"])
        process.signal(signal.SIGTERM)
        assert process.wait(20) == 0
        lines, text = process.lines(), process.log.read_text()
    assert SECRET not in text
    assert "?" not in text
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert any(line["logger"] == "uvicorn.error" for line in lines)

    (started,) = [line for line in process.events("session started") if line["session"] == session]
    assert (started["preset"], started["container"]) == ("realtime", "fmp4")
    (end,) = [line for line in process.events("session ended") if line["session"] == session]
    assert (end["reason"], end["utterances"]) == ("ended", 1)
    assert end["frames"] > 12
    assert end["seconds"] > 0.4
    assert 0 < end["latency_p50_ms"] <= end["latency_p95_ms"]

    refused = [(line["kind"], line["reason"]) for line in process.events("refused")]
    assert sorted(refused) == [("request", "bad_request"), ("session", "full")]
    (made,) = process.events("clip ended")
    assert (made["clip"], made["outcome"], made["frames"]) == (clip["id"], "succeeded", clip["frames_total"])


@pytest.fixture
def written() -> io.StringIO:
    """What all loggers write, as they were before when the test is over."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("uvicorn.access").disabled
    out = io.StringIO()
    yield out
    root.handlers[:], root.level, logging.getLogger("uvicorn.access").disabled = before


def test_text_is_for_people(written: io.StringIO) -> None:
    configure("text", out=written)
    with about(session="5e55"):
        log_event(logging.getLogger("lipstream_server.test"), "session started", preset="realtime")
    logging.getLogger("lipstream_server.test").info("nobody")
    first, second = written.getvalue().splitlines()
    assert first.endswith("INFO session started session=5e55 preset=realtime")
    assert second.endswith("INFO nobody")


def test_an_error_is_one_line_with_its_traceback(written: io.StringIO) -> None:
    configure("json", out=written)
    try:
        raise ValueError("no\nway")
    except ValueError:
        logging.getLogger("lipstream_server.test").exception("it failed", exc_info=sys.exc_info())
    line = json.loads(written.getvalue())
    assert (line["level"], line["message"]) == ("error", "it failed")
    assert line["error"].endswith("ValueError: no\nway")


def test_what_is_no_terminal_is_told_in_json(written: io.StringIO) -> None:
    configure(out=written)
    logging.getLogger("uvicorn.test").info('%s - "WebSocket %s" [accepted]', "::1", "/v1/stream?token=x")
    assert json.loads(written.getvalue())["message"] == '::1 - "WebSocket /v1/stream" [accepted]'
