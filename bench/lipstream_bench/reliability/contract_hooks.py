"""Real images and recordings for schemathesis in half of the cases; random bytes alone would never become a clip."""

from __future__ import annotations

import io
import wave
from typing import Any

import schemathesis
from PIL import Image


def image_bytes() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "orange").save(file, "PNG")
    return file.getvalue()


def recording_bytes() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(6400))
    return file.getvalue()


_FILES = {"image": image_bytes(), "portrait": image_bytes(), "audio": recording_bytes()}


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Replace files in a body. The choice follows from the drawn data, so that a failure can be reproduced."""
    if not isinstance(body, dict):
        return body
    drawn = sum(len(str(value)) for value in body.values())
    real = {name: file for name, file in _FILES.items() if isinstance(body.get(name), bytes | str)}
    if drawn % 2 or not real:
        return body
    changed = {**body, **real}
    changed.pop("webhook_url", None)  # webhooks are off
    if "portrait" in changed and drawn % 4:  # excludes an avatar
        changed.pop("avatar", None)
    return changed
