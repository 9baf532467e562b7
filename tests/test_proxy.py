"""Through the proxy of docker/, over TLS: a real Caddy in front of a real server that asks for keys."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import av
from websockets.asyncio.client import connect

from keyed_server import Keyed, bearer, browser, keyed
from lipstream_server.protocol import PATH, SessionReady, SessionStart, UtteranceEnd, UtteranceEnded
from live_server import Client, tone
from proxied import Proxied, proxied
from rest_client import form, wav


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Stack:
    server: Keyed
    proxy: Proxied

    async def ask(self, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """With the server's key."""
        sent = {"Authorization": f"Bearer {self.server.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(f"https://{self.proxy.host}{path}", body, sent)

        def answer() -> Answer:
            try:
                with urlopen(request, context=self.proxy.trust, timeout=60) as got:
                    return Answer(got.status, got.read())
            except HTTPError as error:
                with error:
                    return Answer(error.code, error.read())

        return await asyncio.to_thread(answer)

    @asynccontextmanager
    async def session(self, **more: Any) -> AsyncIterator[Client]:
        url = f"wss://{self.proxy.host}{PATH}"
        async with connect(url, ssl=self.proxy.trust, max_size=None, **more) as socket:
            client = Client(socket)
            await client.send(SessionStart())
            await client.until(SessionReady)
            yield client


@asynccontextmanager
async def stack(folder: Path) -> AsyncIterator[Stack]:
    async with keyed(folder / "data") as server, proxied(server.address, folder) as proxy:
        yield Stack(server, proxy)


async def test_the_first_commands_of_the_guide(tmp_path: Path) -> None:
    """A recording becomes a film, its key and the authority's certificate in the environment."""
    speech, film = tmp_path / "speech.wav", tmp_path / "talk.mp4"
    speech.write_bytes(wav(1.0))
    async with stack(tmp_path) as both:
        done = await asyncio.to_thread(
            subprocess.run,
            [
                Path(sys.executable).with_name("lipstream"),
                "stream",
                speech,
                "-o",
                film,
                "--url",
                f"wss://{both.proxy.host}",
            ],
            env=both.proxy.environment
            | {"SSL_CERT_FILE": str(both.proxy.root), "LIPSTREAM_KEY": both.server.key},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    with av.open(film) as opened:
        assert sum(1 for _ in opened.decode(video=0)) >= 25


async def test_a_browser_gets_in_with_a_token_from_a_page_of_the_proxys_name(tmp_path: Path) -> None:
    """The server compares the page's origin with the name that the proxy was asked by."""
    async with stack(tmp_path) as both:
        made = await both.ask("/v1/tokens", b"{}", content_type="application/json")
        origin = f"https://{both.proxy.host}"
        async with both.session(origin=origin, **browser(made.said["token"])) as client:
            assert isinstance(client.received[0], SessionReady)


async def test_figures_are_for_prometheus_which_asks_the_server_itself(tmp_path: Path) -> None:
    async with stack(tmp_path) as both:
        assert (await both.ask("/metrics")).status == 404
        assert (await both.server.ask("GET", "/metrics"))[0] == 200
        assert (await both.ask("/readyz")).status == 200


async def test_a_new_caddyfile_cuts_nobody_off(tmp_path: Path) -> None:
    async with stack(tmp_path) as both, both.session(**bearer(both.server.key)) as client:
        await client.send(tone(1.0))
        await client.media(3)
        await asyncio.to_thread(both.proxy.reload)
        await client.send(tone(1.0))
        await client.send(UtteranceEnd())
        assert (await client.until(UtteranceEnded)).position_ms == 2000


async def test_events_of_a_clip_come_while_it_is_made(tmp_path: Path) -> None:
    """Not all at once at its end: the proxy keeps nothing back."""
    async with stack(tmp_path) as both:
        body, kind = form(avatar="red", audio=wav(30.0))
        made = await both.ask("/v1/clips", body, content_type=kind)
        assert made.status == 202
        url = f"https://{both.proxy.host}{made.said['events']}"
        request = Request(url, headers={"Authorization": f"Bearer {both.server.key}"})

        def times() -> list[float]:
            with urlopen(request, context=both.proxy.trust, timeout=60) as events:
                return [time.monotonic() for line in events if line.startswith(b"event:")]

        came = await asyncio.to_thread(times)
    assert len(came) >= 2
    assert came[-1] - came[0] > 0.05
