"""Submission of a clip: from a posted form to an accepted clip."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from pathlib import Path

from fastapi import Request
from pydantic import ValidationError

from ..auth.caller import Caller
from ..clips.acceptance import ClipRequest
from ..clips.idempotency import IdempotencyKey
from ..clips.service import ClipReport, ClipService
from ..clips.state import ClipSpec
from ..engines.base import UnknownPresetError
from ..errors import RequestRefusedError
from ..http.multipart import FormPart
from ..http.problem_details import bad_request, format_validation_errors
from ..http.uploads import Form, Uploads
from ..media.arrays import ENGINE_SAMPLE_RATE
from ..media.file.recording import count_engine_samples
from ..sessions.service import Service
from ..webhooks.target import WebhookUrlError, parse_target
from .clip_schemas import ClipForm

_TEXT_PART = FormPart(4096)


class ClipSubmission:
    """Submits clips.

    Args:
        service: Engine, scheduler and avatars; ready.
        clips: The clips of the server.
        uploads: Receives request bodies.
    """

    def __init__(self, service: Service, clips: ClipService, uploads: Uploads) -> None:
        self._service, self._clips, self._uploads = service, clips, uploads
        settings = service.settings
        self._parts = {
            "audio": FormPart(settings.clips.max_recording_bytes, "recording_too_large", True),
            "portrait": FormPart(settings.avatars.max_image_bytes, "image_too_large", True),
            **dict.fromkeys(ClipForm.model_fields, _TEXT_PART),
        }

    async def submit(
        self, request: Request, idempotency_key: str | None, caller: Caller
    ) -> tuple[ClipReport, bool]:
        """Receive and check a form, and accept the clip.

        Returns:
            The clip, and whether it is new.

        Raises:
            StatusError: The request is refused.
        """
        async with self._uploads.receive_form(request, self._parts) as form:
            fields = _parse_fields(form)
            key = None
            if idempotency_key is not None:
                fingerprint = await asyncio.to_thread(_fingerprint, form)
                key = IdempotencyKey(idempotency_key, fingerprint, caller.owner)
                accepted = await self._clips.find_accepted(key)
                if accepted is not None:
                    return await self._clips.report(accepted.id, caller.owner), False
            self._check_preset(fields)
            self._check_container(fields)
            self._check_webhook(fields)
            audio = form.files["audio"]
            max_seconds = self._service.settings.clips.max_recording_seconds
            samples = await asyncio.to_thread(count_engine_samples, audio, max_seconds)
            avatar, is_bundled = await self._find_avatar(fields, form, caller.owner)
            with self._service.avatars.in_use(avatar):
                spec = self._clip_spec(fields, avatar, samples)
                clip, is_new = await self._clips.accept(ClipRequest(spec, audio, is_bundled, caller.key, key))
        return await self._clips.report(clip.id, caller.owner), is_new

    def _check_preset(self, fields: ClipForm) -> None:
        presets = self._service.engine.presets
        if fields.preset not in (None, *presets):
            raise UnknownPresetError(f"there is no preset {fields.preset!r}, only {', '.join(presets)}")

    def _check_container(self, fields: ClipForm) -> None:
        """Refuse containers that cannot be signed, where clips are signed."""
        if self._service.settings.signing.certificate is not None and fields.container != "mp4":
            raise RequestRefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "container_unsigned",
                f"the clips of this server are signed (C2PA), and {fields.container} files cannot be; ask for mp4",
            )

    def _check_webhook(self, fields: ClipForm) -> None:
        settings = self._service.settings.webhooks
        if fields.webhook_url is None:
            return
        if settings.secret is None:
            raise RequestRefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "webhooks_disabled",
                "this server sends no webhooks; its operator has to set webhooks.secret, or follow the clip's events",
            )
        try:
            parse_target(fields.webhook_url, settings.allowed_hosts)
        except WebhookUrlError as error:
            raise RequestRefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "webhook_url_refused", str(error)
            ) from error

    async def _find_avatar(self, fields: ClipForm, form: Form, owner: str | None) -> tuple[str, bool]:
        """Return the id of the avatar, which a posted portrait becomes, and whether it is bundled."""
        avatars = self._service.avatars
        if "portrait" in form.files:
            avatar, _ = await avatars.add(form.files["portrait"], owner, listed=False)
        else:
            avatar = await avatars.get(fields.avatar or self._service.default_avatar, owner)
        return avatar.id, avatar.bundled

    def _clip_spec(self, fields: ClipForm, avatar: str, samples: int) -> ClipSpec:
        engine = self._service.engine
        width, height = engine.size
        if fields.size is not None:
            width, height = (_round_to_even(side * fields.size / max(engine.size)) for side in engine.size)
        return ClipSpec(
            avatar,
            fields.preset or self._service.preset,
            fields.seed,
            width,
            height,
            fields.container,
            engine.fps,
            -(-samples * engine.fps // ENGINE_SAMPLE_RATE),
            fields.webhook_url,
        )


def _parse_fields(form: Form) -> ClipForm:
    if "audio" not in form.files:
        raise bad_request("expected a part named audio: a recording")
    try:
        fields = ClipForm.model_validate(form.fields)
    except ValidationError as error:
        raise bad_request(format_validation_errors(error.errors())) from error
    if fields.avatar is not None and "portrait" in form.files:
        raise RequestRefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "two_faces", "expected either avatar or portrait, got both"
        )
    return fields


def _fingerprint(form: Form) -> str:
    """Return a digest of all fields and files of a form."""
    digest = hashlib.sha256()
    for name, value in sorted(form.fields.items()):
        digest.update(repr((name, value)).encode())
    for name, path in sorted(form.files.items()):
        digest.update(repr((name, _file_digest(path))).encode())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _round_to_even(pixels: float) -> int:
    return 2 * max(1, round(pixels / 2))
