"""From a posted form to an accepted clip."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from pathlib import Path

from fastapi import Request
from pydantic import ValidationError

from ..auth.caller import Caller
from ..clips.service import Clips, Report
from ..clips.state import Order
from ..clips.table import Key
from ..engines.base import HEARING_RATE, UnknownPresetError
from ..http.multipart import Part, bad_form
from ..http.problem_details import Problem, said
from ..http.uploads import Form, Uploads
from ..media.file.recording import measure
from ..sessions.service import Service
from ..webhooks.target import WebhookUrlError, target_of
from .schemas import ClipForm

_TEXT = Part(4096)


class ClipOrders:
    """service: ready."""

    def __init__(self, service: Service, clips: Clips, uploads: Uploads) -> None:
        self._service, self._clips, self._uploads = service, clips, uploads
        settings = service.settings
        self._parts = {
            "audio": Part(settings.clips.max_recording_bytes, "recording_too_large", True),
            "portrait": Part(settings.avatars.max_image_bytes, "picture_too_large", True),
            **dict.fromkeys(ClipForm.model_fields, _TEXT),
        }

    async def take(self, request: Request, key: str | None, caller: Caller) -> tuple[Report, bool]:
        """The clip and whether it is new. Raises what `problem` knows."""
        async with self._uploads.form(request, self._parts) as form:
            asked = _asked(form)
            known = (
                None if key is None else Key(key, await asyncio.to_thread(_fingerprint, form), caller.owner)
            )
            before = None if known is None else await self._clips.known(known)
            if before is not None:
                return await self._clips.report(before.id, caller.owner), False
            if asked.preset not in (None, *self._service.engine.presets):
                presets = ", ".join(self._service.engine.presets)
                raise UnknownPresetError(f"there is no preset {asked.preset!r}, only {presets}")
            self._check_signed(asked)
            self._check_webhook(asked)
            limit = self._service.settings.clips.max_recording_seconds
            samples = await asyncio.to_thread(measure, form.files["audio"], limit)
            avatar, bundled = await self._face(asked, form, caller.owner)
            with self._service.avatars.used(avatar):
                order = self._order(asked, avatar, samples)
                clip, new = await self._clips.accept(form.files["audio"], order, known, bundled, caller.key)
        return await self._clips.report(clip.id, caller.owner), new

    def _check_signed(self, asked: ClipForm) -> None:
        """Raises Problem where clips are signed and one of this container cannot be."""
        if self._service.settings.signing.certificate is not None and asked.container != "mp4":
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "container_unsigned",
                f"the clips of this server are signed (C2PA), and {asked.container} files cannot be; ask for mp4",
            )

    def _check_webhook(self, asked: ClipForm) -> None:
        """Raises Problem."""
        settings = self._service.settings.webhooks
        if asked.webhook_url is None:
            return
        if settings.secret is None:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "webhooks_disabled",
                "this server sends no webhooks; its operator has to set webhooks.secret, or follow the clip's events",
            )
        try:
            target_of(asked.webhook_url, settings.allowed_hosts)
        except WebhookUrlError as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "webhook_url_refused", str(error)) from error

    async def _face(self, asked: ClipForm, form: Form, owner: str | None) -> tuple[str, bool]:
        """The id of the avatar, and whether it is a bundled one."""
        avatars = self._service.avatars
        if "portrait" in form.files:
            avatar, _ = await avatars.add(form.files["portrait"], owner, listed=False)
        else:
            avatar = await avatars.get(asked.avatar or self._service.default_avatar, owner)
        return avatar.id, avatar.bundled

    def _order(self, asked: ClipForm, avatar: str, samples: int) -> Order:
        engine = self._service.engine
        width, height = engine.size
        if asked.size is not None:
            width, height = (_even(side * asked.size / max(engine.size)) for side in engine.size)
        frames = -(-samples * engine.fps // HEARING_RATE)
        preset = asked.preset or self._service.preset
        return Order(
            avatar,
            preset,
            asked.seed,
            width,
            height,
            asked.container,
            engine.fps,
            frames,
            asked.webhook_url,
        )


def _asked(form: Form) -> ClipForm:
    if "audio" not in form.files:
        raise bad_form("expected a part named audio: a recording")
    try:
        asked = ClipForm.model_validate(form.fields)
    except ValidationError as error:
        raise bad_form(said(error.errors())) from error
    if asked.avatar is not None and "portrait" in form.files:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "two_faces", "expected either avatar or portrait, got both"
        )
    return asked


def _fingerprint(form: Form) -> str:
    """Of everything in a request that makes a difference."""
    whole = hashlib.sha256()
    for name, value in sorted(form.fields.items()):
        whole.update(repr((name, value)).encode())
    for name, path in sorted(form.files.items()):
        whole.update(repr((name, _digest(path))).encode())
    return whole.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _even(pixels: float) -> int:
    return 2 * max(1, round(pixels / 2))
