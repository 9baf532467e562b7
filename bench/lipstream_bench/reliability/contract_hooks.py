"""Hooks of schemathesis that upload real images and recordings in half of the requests, else random bytes."""

from __future__ import annotations

import io
import wave
from typing import Any

import schemathesis
from PIL import Image

from lipstream_models.audio.samples import SAMPLE_RATE


def image_file() -> bytes:
    """Return a PNG file."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "orange").save(file, "PNG")
    return file.getvalue()


def wav_file() -> bytes:
    """Return a WAV file of 0.2 s of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(bytes(6400))
    return file.getvalue()


_FILES = {"image": image_file(), "portrait": image_file(), "audio": wav_file()}


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Replace files of a form; the choice depends on the drawn values, so that failures are reproducible."""
    if not isinstance(body, dict):
        return body
    drawn = sum(len(str(value)) for value in body.values())
    real = {name: file for name, file in _FILES.items() if isinstance(body.get(name), bytes | str)}
    if drawn % 2 or not real:
        return body
    changed = {**body, **real}
    changed.pop("webhook_url", None)  # this server accepts none
    if "portrait" in changed and drawn % 4:  # a portrait excludes an avatar
        changed.pop("avatar", None)
    return changed
