"""Requests to the REST interface, and recordings for them."""

import asyncio
import io
import json
import wave
from typing import Any

from live_server import ask, tone

CLIPS = "/v1/clips"


def form(**parts: bytes | str) -> tuple[bytes, str]:
    """Return the body and content type of a form. Bytes become files, with hostile file names."""
    boundary = "a-boundary-that-is-nowhere-else"
    body = b""
    for name, value in parts.items():
        file = '; filename="../../etc/passwd"' if isinstance(value, bytes) else ""
        data = value if isinstance(value, bytes) else value.encode()
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


async def post(
    address: str, path: str, headers: dict[str, str] | None = None, **parts: bytes | str
) -> tuple[int, dict[str, str], Any]:
    """Post a form, and return status, headers and the parsed body."""
    body, kind = form(**parts)
    status, answered, content = await ask(address, "POST", path, body, content_type=kind, **(headers or {}))
    return status, answered, json.loads(content)


async def ask_json(address: str, method: str, path: str) -> tuple[int, Any]:
    """Make a request, and return status and parsed body."""
    status, _, content = await ask(address, method, path)
    return status, json.loads(content) if content else None


async def finished(address: str, clip: str, seconds: float = 60) -> dict[str, Any]:
    """Return a clip, once it is in its final state."""
    async with asyncio.timeout(seconds):
        while (answer := (await ask_json(address, "GET", f"{CLIPS}/{clip}"))[1])["state"] in (
            "queued",
            "running",
        ):
            await asyncio.sleep(0.05)
    return dict(answer)


def wav(seconds: float, rate: int = 16_000) -> bytes:
    """Return a WAV file with a tone, mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(tone(seconds, rate))
    return file.getvalue()
