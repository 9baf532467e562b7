"""Logs of a real server: one line an event, complete, and without secrets."""

import io
import json
import logging
import signal
import sys
from pathlib import Path

import pytest
from live_server import Client, connected, get, tone, until_ready
from rest_client import (
    CLIPS,
    finished,
    post,
    wav,
)
from server_process import serving
from websockets.asyncio.client import connect

from lipstream_server.observability.logs import configure_logging, log_context, log_event
from lipstream_server.protocol import (
    PATH,
    SessionEnd,
    SessionReady,
    SessionStart,
    UtteranceEnd,
    UtteranceEnded,
)

SECRET = "sesame-open-4711"


async def run_session(address: str) -> str:
    """Run a session with one utterance and a secret in its URL's query; return its id."""
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


async def test_log_lines_are_json_and_report_events_without_secrets(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--log-format", "json", "--max-sessions", "1") as process:
        address = process.address
        session = await run_session(address)
        await until_ready(int(address.rpartition(":")[2]))  # its slot is free again
        async with connected(address, SessionStart()), connected(address) as refused:
            await refused.send(SessionStart())
            await refused.to_the_end()
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

    refusals = [(line["kind"], line["reason"]) for line in process.events("refused")]
    assert sorted(refusals) == [("request", "bad_request"), ("session", "full")]
    (clip_ended,) = process.events("clip ended")
    assert (clip_ended["clip"], clip_ended["outcome"], clip_ended["frames"]) == (
        clip["id"],
        "succeeded",
        clip["frames_total"],
    )


@pytest.fixture
def log_output() -> io.StringIO:
    """Capture the output of all loggers, and restore their set-up afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("uvicorn.access").disabled
    out = io.StringIO()
    yield out
    root.handlers[:], root.level, logging.getLogger("uvicorn.access").disabled = before


def test_text_lines_end_with_context_and_fields(log_output: io.StringIO) -> None:
    configure_logging("text", out=log_output)
    with log_context(session="5e55"):
        log_event(logging.getLogger("lipstream_server.test"), "session started", preset="realtime")
    logging.getLogger("lipstream_server.test").info("nobody")
    first, second = log_output.getvalue().splitlines()
    assert first.endswith("INFO session started session=5e55 preset=realtime")
    assert second.endswith("INFO nobody")


def test_json_line_of_an_error_holds_its_traceback(log_output: io.StringIO) -> None:
    configure_logging("json", out=log_output)
    try:
        raise ValueError("no\nway")
    except ValueError:
        logging.getLogger("lipstream_server.test").exception("it failed", exc_info=sys.exc_info())
    line = json.loads(log_output.getvalue())
    assert (line["level"], line["message"]) == ("error", "it failed")
    assert line["error"].endswith("ValueError: no\nway")


def test_logs_are_json_without_a_terminal_and_urls_have_no_query(log_output: io.StringIO) -> None:
    configure_logging(out=log_output)
    logging.getLogger("uvicorn.test").info('%s - "WebSocket %s" [accepted]', "::1", "/v1/stream?token=x")
    assert json.loads(log_output.getvalue())["message"] == '::1 - "WebSocket /v1/stream" [accepted]'
