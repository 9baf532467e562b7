"""Every setting of a server: its type, default and description, written once.

The command-line options, the environment variables, `lipstream config` and docker/.env.example are made from these models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from .group import SettingsGroup
from .live_settings import ConversationSettings, EngineSettings, WindowSettings
from .values import (
    ApiKeySecret,
    Count,
    HostPatterns,
    Number,
    Numbers,
    Origins,
    Texts,
    WebhookSecret,
)

__all__ = [
    "AccessSettings",
    "AvatarSettings",
    "ClipSettings",
    "ConversationSettings",
    "EngineSettings",
    "ServerSettings",
    "SigningSettings",
    "UploadSettings",
    "WebhookSettings",
    "WindowSettings",
]


class AvatarSettings(SettingsGroup):
    """Uploaded avatars."""

    max_loaded: Count = Field(
        default=16, description="Maximum number of uploaded avatars that the engine keeps in memory."
    )
    max_image_bytes: Count = Field(
        default=16 << 20, description="Maximum size of an uploaded portrait image in bytes."
    )
    max_prepared_streams: Count = Field(
        default=16,
        description="Maximum number of prepared streams, one for each avatar and preset, that are kept so that a session "
        "starts at once.",
    )


class UploadSettings(SettingsGroup):
    """Request bodies with files."""

    max_concurrent: Count = Field(default=4, description="Maximum number of uploads at the same time.")
    timeout_seconds: Number = Field(default=120.0, description="Maximum duration of an upload in seconds.")
    min_free_bytes: Count = Field(
        default=256 << 20,
        description="Disk space in bytes that must remain free beside an upload; otherwise it is refused.",
    )


class SigningSettings(SettingsGroup):
    """Content Credentials (C2PA) of finished clips."""

    certificate: Path | None = Field(
        default=None,
        description="PEM file with the certificate chain that finished clips are signed with (C2PA); needs signing.key.",
    )
    key: Path | None = Field(
        default=None, description="PEM file with the private key of signing.certificate, without a password."
    )

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError(
                "expected a certificate and its key (signing.certificate and signing.key) or neither, "
                f"got {self.certificate} and {self.key}"
            )
        return self


class ClipSettings(SettingsGroup):
    """Clips, rendered in the background."""

    max_recording_bytes: Count = Field(
        default=64 << 20, description="Maximum size of a clip's recording in bytes."
    )
    max_recording_seconds: Number = Field(
        default=600.0, description="Maximum duration of a clip's recording in seconds."
    )
    max_queued: Count = Field(default=1000, description="Maximum number of clips that wait to be rendered.")
    window_frames: Count | None = Field(
        default=None,
        description="Window length of clips in frames; the longest of windows.lengths if not set.",
    )
    retention_seconds: Number = Field(
        default=7 * 86_400.0, description="Time in seconds after which a finished clip is removed."
    )
    max_total_bytes: Count = Field(
        default=10 << 30,
        description="Maximum size of all clips in bytes; beyond it the oldest finished clips are removed.",
    )
    idempotency_seconds: Number = Field(
        default=86_400.0, description="Time in seconds for which an idempotency key is remembered."
    )
    disk_full_retry_seconds: Number = Field(
        default=10.0, description="Time in seconds after which a clip that met a full disk is tried again."
    )


class WebhookSettings(SettingsGroup):
    """Webhooks that report the end of a clip (Standard Webhooks)."""

    secret: WebhookSecret | None = Field(
        default=None,
        description="Signing secret of webhooks: whsec_ and 24 to 64 bytes in base64 (Standard Webhooks); without it no "
        "webhooks are sent.",
    )
    allowed_hosts: HostPatterns = Field(
        default=(),
        description="Hosts that webhooks may be sent to at any address and without TLS, such as example.com or "
        "*.example.com; if empty, every host with public addresses, over https only.",
    )
    attempt_timeout_seconds: Number = Field(
        default=10.0, description="Timeout of one delivery attempt in seconds."
    )
    retry_delays_seconds: Numbers = Field(
        default=(5.0, 30.0, 120.0, 600.0, 3600.0),
        description="Delays in seconds before each further delivery attempt, varied by a fifth; after the last attempt the "
        "webhook is given up.",
    )


class AccessSettings(SettingsGroup):
    """API keys, session tokens and pages on other hosts."""

    key: ApiKeySecret | None = Field(
        default=None,
        description="An API key that is always valid, beside those of `lipstream keys`, for deployments where no command can "
        "be run.",
    )
    allowed_origins: Origins = Field(
        default=(),
        description="Origins of pages on other hosts that may use this server, such as https://example.com; * allows all.",
    )
    allowed_hosts: Texts = Field(
        default=(),
        description="Host names besides localhost under which a server without API keys answers; * allows all.",
    )
    max_token_session_seconds: Number = Field(
        default=3600.0, description="Maximum duration in seconds of a session that a session token opens."
    )
    max_token_connect_seconds: Number = Field(
        default=3600.0, description="Maximum time in seconds between issuing a session token and its use."
    )
    key_cache_ttl_seconds: Number = Field(
        default=2.0,
        description="Time in seconds for which API keys are cached; a removed key may be accepted for as long.",
    )


class ServerSettings(SettingsGroup):
    """Settings of the application."""

    max_sessions: int | None = Field(
        default=None, ge=1, description="Maximum number of sessions at once; measured at warm-up if not set."
    )
    fragment_frames: int = Field(
        default=2,
        ge=1,
        le=5,
        description="Maximum number of frames in a media fragment, 1 to 5 (40 ms each).",
    )
    low_latency_max_sessions: Count = Field(
        default=8,
        description="Number of open sessions up to which a fragment holds one frame, which lowers latency by 40 ms and costs "
        "a fifth more work.",
    )
    start_timeout_seconds: Number = Field(
        default=10.0, description="Time in seconds within which a client must send session.start."
    )
    idle_timeout_seconds: Number = Field(
        default=300.0,
        description="Time in seconds without any message of the client after which a session is closed.",
    )
    max_session_seconds: Number = Field(
        default=4 * 3600.0, description="Maximum duration of a session in seconds."
    )
    send_timeout_seconds: Number = Field(
        default=5.0,
        description="Time in seconds within which a client must take a message; otherwise its session is closed.",
    )
    max_clock_lag_seconds: Number = Field(
        default=1.0, description="Lag in seconds behind real time beyond which a session's clock is set back."
    )
    max_device_load: Number = Field(
        default=0.75,
        description="Share of real time that all sessions together may take of the device, from which the session limit "
        "follows; the rest is for encoding.",
    )
    max_batch: Count = Field(
        default=8, description="Maximum number of windows that are generated in one batch."
    )
    encoder_threads: int = Field(
        default=4, ge=1, description="Number of threads that encode video and audio."
    )
    max_client_errors: Count = Field(
        default=100,
        description="Maximum number of invalid messages of a client before its session is closed.",
    )
    retry_after_seconds: Number = Field(
        default=5.0, description="Time in seconds after which a refused client is told to try again."
    )
    preset: str | None = Field(
        default=None,
        description="Preset of sessions and clips that name none, or the JSON file of a plan, see `lipstream plan`; the "
        "model's own if not set.",
    )
    drain_seconds: Number = Field(
        default=30.0,
        description="Time in seconds for which sessions may continue when the server is stopped.",
    )
    hang_timeout_seconds: Number = Field(
        default=30.0,
        description="Time in seconds beyond the engine's own timeout after which a window in work means that the device "
        "hangs, and /healthz fails.",
    )
    watermark: bool = Field(
        default=False, description='Show "AI" in a corner of every frame of sessions and clips.'
    )
    avatars: AvatarSettings = AvatarSettings()
    uploads: UploadSettings = UploadSettings()
    signing: SigningSettings = SigningSettings()
    clips: ClipSettings = ClipSettings()
    webhooks: WebhookSettings = WebhookSettings()
    access: AccessSettings = AccessSettings()
    conversation: ConversationSettings = ConversationSettings()
    windows: WindowSettings = WindowSettings()
    engine: EngineSettings = EngineSettings()
