"""Through the proxy of docker/, over TLS: a real Caddy in front of a real server that asks for keys."""

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
    server: Keyed
    proxy: Proxied

    @property
    def rest(self) -> RestClient:
        return RestClient(f"https://{self.proxy.host}", key=self.server.key)

    def session(self, **more: Any) -> AbstractAsyncContextManager[Client]:
        return connected(self.proxy.host, SessionStart(), "wss", **more)

    async def status(self, path: str) -> int:
        """Of a GET without a key."""

        def asked() -> int:
            try:
                with urlopen(f"https://{self.proxy.host}{path}", timeout=60) as answer:
                    return int(answer.status)
            except HTTPError as error:
                error.close()
                return error.code

        return await asyncio.to_thread(asked)


@asynccontextmanager
async def stack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """Whoever connects is told of the proxy's authority as the guide says, by the environment."""
    async with keyed(folder / "data") as server, proxied(server.address, folder) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.root))
        yield Stack(server, proxy)


async def test_the_first_commands_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording becomes a film, its key and the authority's certificate in the environment."""
    speech, film = tmp_path / "speech.wav", tmp_path / "talk.mp4"
    speech.write_bytes(wav(1.0))
    async with stack(tmp_path, monkeypatch) as both:
        monkeypatch.setenv("LIPSTREAM_KEY", both.server.key)
        words = ["stream", speech, "-o", film, "--url", f"wss://{both.proxy.host}"]
        command = [sys.executable, "-m", "lipstream_client", *words]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with av.open(film) as opened:
        assert sum(1 for _ in opened.decode(video=0)) >= 25


async def test_a_browser_gets_in_with_a_token_from_a_page_of_the_proxys_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server compares the page's origin with the name that the proxy was asked by."""
    async with stack(tmp_path, monkeypatch) as both:
        token = await asyncio.to_thread(both.rest.create_token)
        async with both.session(origin=f"https://{both.proxy.host}", **browser(token)) as client:
            assert isinstance(client.received[0], SessionReady)


async def test_figures_are_for_prometheus_which_asks_the_server_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stack(tmp_path, monkeypatch) as both:
        assert await both.status("/metrics") == 404
        assert (await both.server.ask("GET", "/metrics"))[0] == 200
        assert await both.status("/readyz") == 200


async def test_a_new_caddyfile_cuts_nobody_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack(tmp_path, monkeypatch) as both, both.session(**bearer(both.server.key)) as client:
        await client.send(tone(1.0))
        await client.media(3)
        await asyncio.to_thread(both.proxy.reload)
        await client.send(tone(1.0))
        await client.send(UtteranceEnd())
        assert (await client.until(UtteranceEnded)).position_ms == 2000


async def test_events_of_a_clip_come_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all at once at its end: the proxy keeps nothing back."""
    speech = tmp_path / "speech.wav"
    speech.write_bytes(wav(30.0))
    async with stack(tmp_path, monkeypatch) as both:

        def times() -> list[float]:
            clip = both.rest.create_clip(speech, avatar="red")
            return [time.monotonic() for _ in both.rest.watch(clip.id)]

        came = await asyncio.to_thread(times)
    assert len(came) >= 2
    assert came[-1] - came[0] > 0.05
