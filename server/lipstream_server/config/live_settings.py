"""Settings of live sessions: conversations, windows, and the process that runs the engine."""

from __future__ import annotations

from pydantic import Field

from .group import SettingsGroup
from .values import Count, Number, WindowLengths


class ConversationSettings(SettingsGroup):
    """The state machine of a session."""

    max_buffered_seconds: Number = Field(
        default=60.0,
        description="Maximum duration in seconds of audio that a session buffers; more is refused.",
    )
    silence_timeout_seconds: Number = Field(
        default=0.6, description="Time in seconds without audio after which an open utterance ends."
    )
    crossfade_frames: Count = Field(
        default=2,
        description="Frames over which idle and speech fade into each other; an interrupt cuts at once.",
    )


class WindowSettings(SettingsGroup):
    """How utterances are cut into windows."""

    lengths: WindowLengths = Field(
        default=(4, 8, 16),
        description="Window lengths in frames, rising; an utterance starts with the shortest.",
    )
    prefetch_seconds: Number = Field(
        default=1.0,
        description="Maximum duration in seconds of frames that are requested before they are due; an interrupt discards "
        "them.",
    )
    closing_frames: Count = Field(
        default=6, description="Frames of silence after an utterance in which the mouth closes."
    )
    safety_margin_seconds: Number = Field(
        default=0.02, description="Time in seconds by which a window is requested before it is needed."
    )
    max_real_time_factor: Number = Field(
        default=0.95, description="Maximum share of real time that generating one session's windows may take."
    )
    max_startup_delay_seconds: Number = Field(
        default=0.5,
        description="Maximum time in seconds that the first frame of an utterance is held back for a smooth start.",
    )


class EngineSettings(SettingsGroup):
    """Supervision of the process that runs the engine."""

    load_timeout_seconds: Number = Field(
        default=600.0, description="Time in seconds after which an engine that still loads counts as lost."
    )
    call_timeout_seconds: Number = Field(
        default=120.0,
        description="Timeout in seconds of registering a portrait, opening a stream and generating the first window.",
    )
    window_timeout_seconds: Number = Field(
        default=10.0, description="Timeout in seconds of generating a window."
    )
    window_timeout_factor: Number = Field(
        default=20.0,
        description="Timeout of a window as a multiple of what recent windows took, where that is longer.",
    )
    health_check_seconds: Number = Field(
        default=1.0, description="Interval in seconds between health checks of the engine's process."
    )
    max_attempts: Count = Field(
        default=3, description="Maximum number of attempts at a call during which the engine was lost."
    )
    max_restarts: Count = Field(
        default=10,
        description="Maximum number of restarts of the engine within engine.restart_period_seconds.",
    )
    restart_period_seconds: Number = Field(
        default=300.0,
        description="Time in seconds for which a restart of the engine counts towards engine.max_restarts.",
    )
    oom_batch_cooldown_seconds: Number = Field(
        default=60.0,
        description="Time in seconds for which batches stay small after the device ran out of memory.",
    )
