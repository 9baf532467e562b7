"""A server that asks for keys, and what tests of it send and read."""

import contextlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from live_server import (
    CALM,
    ask,
    connected,
    running,
)
from PIL import Image
from portraits import encoded
from rest_client import form

from lipstream_client.cli import run
from lipstream_server.config.settings import AccessSettings, ServerSettings
from lipstream_server.protocol import (
    SUBPROTOCOL,
    TOKEN_SUBPROTOCOL,
    Error,
    SessionClosing,
)

PICTURE = encoded(Image.new("RGB", (8, 8), "teal"), "PNG")
AVATARS, TOKENS = "/v1/avatars", "/v1/tokens"
QUICK = CALM.replace(access=AccessSettings(key_cache_ttl_seconds=0.1))


@dataclass(frozen=True)
class Keyed:
    """A server that asks for keys, and the commands on its data."""

    address: str
    data: Path
    key: str

    async def ask(
        self, method: str, path: str, key: str | None = None, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        headers |= {"authorization": f"Bearer {key or self.key}"}
        status, answered, content = await ask(self.address, method, path, body, **headers)
        kind = answered.get("content-type", "")
        return status, answered, json.loads(content) if "json" in kind else content

    async def post(
        self, path: str, key: str | None = None, **parts: bytes | str
    ) -> tuple[int, dict[str, str], Any]:
        body, kind = form(**parts)
        return await self.ask("POST", path, key, body, content_type=kind)

    async def token(self, **asked: object) -> Any:
        body = json.dumps(asked).encode()
        return (await self.ask("POST", TOKENS, body=body, content_type="application/json"))[2]


def keys(data: Path, *words: str) -> list[str]:
    """What `lipstream keys` prints, typed while a server may run."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run(["keys", words[0], *words[1:], "--data", str(data)]) == 0
    return out.getvalue().splitlines()


@asynccontextmanager
async def keyed(data: Path, *limits: str, settings: ServerSettings = QUICK) -> AsyncIterator[Keyed]:
    (key,) = keys(data, "add", "first", *limits)
    async with running(settings=settings, data=data, keyed=True) as address:
        yield Keyed(address, data, key)


def bearer(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


def browser(token: str) -> dict[str, Any]:
    return {"subprotocols": [SUBPROTOCOL, TOKEN_SUBPROTOCOL + token]}


async def farewell(address: str, **more: Any) -> tuple[Error, SessionClosing, int | None]:
    """What a client that offers the protocol is told."""
    async with connected(address, **more) as client:
        code = await client.to_the_end()
    error, closing = client.received
    assert isinstance(error, Error)
    assert isinstance(closing, SessionClosing)
    return error, closing, code
