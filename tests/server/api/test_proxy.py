"""The proxy of docker/: a real Caddy with TLS in front of a real server with keys."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import av
import pytest
from keyed_server import (
    Keyed,
    bearer,
    browser,
    keyed,
)
from live_server import Client, connected, tone
from proxied import Proxied, proxied
from rest_client import wav

from lipstream_client.rest import RestClient
from lipstream_server.protocol import (
    SessionReady,
    SessionStart,
    UtteranceEnd,
    UtteranceEnded,
)


@dataclass(frozen=True)
class Stack:
    """A server behind a proxy."""

    server: Keyed
    proxy: Proxied

    @property
    def rest(self) -> RestClient:
        return RestClient(f"https://{self.proxy.host}", key=self.server.key)

    def session(self, **more: Any) -> AbstractAsyncContextManager[Client]:
        return connected(self.proxy.host, SessionStart(), "wss", **more)

    async def status(self, path: str) -> int:
        """Return the status of a GET without a key."""

        def get_status() -> int:
            try:
                with urlopen(f"https://{self.proxy.host}{path}", timeout=60) as answer:
                    return int(answer.status)
            except HTTPError as error:
                error.close()
                return error.code

        return await asyncio.to_thread(get_status)


@asynccontextmanager
async def stack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """Run a server behind a proxy, whose certificate authority clients trust by the environment, as the guide says."""
    async with keyed(folder / "data") as server, proxied(server.address, folder) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.root))
        yield Stack(server, proxy)


async def test_first_commands_of_the_guide_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording becomes a video, with key and certificate authority in the environment."""
    speech, video = tmp_path / "speech.wav", tmp_path / "talk.mp4"
    speech.write_bytes(wav(1.0))
    async with stack(tmp_path, monkeypatch) as both:
        monkeypatch.setenv("LIPSTREAM_KEY", both.server.key)
        words = ["stream", speech, "-o", video, "--url", f"wss://{both.proxy.host}"]
        command = [sys.executable, "-m", "lipstream_client", *words]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with av.open(video) as opened:
        assert sum(1 for _ in opened.decode(video=0)) >= 25


async def test_browser_page_of_the_proxy_opens_a_session_with_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server compares the page's origin with the host name of the request to the proxy."""
    async with stack(tmp_path, monkeypatch) as both:
        token = await asyncio.to_thread(both.rest.create_token)
        async with both.session(origin=f"https://{both.proxy.host}", **browser(token)) as client:
            assert isinstance(client.received[0], SessionReady)


async def test_proxy_hides_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack(tmp_path, monkeypatch) as both:
        assert await both.status("/metrics") == 404
        assert (await both.server.ask("GET", "/metrics"))[0] == 200
        assert await both.status("/readyz") == 200


async def test_proxy_reload_keeps_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack(tmp_path, monkeypatch) as both, both.session(**bearer(both.server.key)) as client:
        await client.send(tone(1.0))
        await client.media(3)
        await asyncio.to_thread(both.proxy.reload)
        await client.send(tone(1.0))
        await client.send(UtteranceEnd())
        assert (await client.until(UtteranceEnded)).position_ms == 2000


async def test_events_of_a_clip_pass_the_proxy_while_it_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy buffers nothing: events do not come all at once at the end."""
    speech = tmp_path / "speech.wav"
    speech.write_bytes(wav(30.0))
    async with stack(tmp_path, monkeypatch) as both:

        def times() -> list[float]:
            clip = both.rest.create_clip(speech, avatar="red")
            return [time.monotonic() for _ in both.rest.watch(clip.id)]

        came = await asyncio.to_thread(times)
    assert len(came) >= 2
    assert came[-1] - came[0] > 0.05
