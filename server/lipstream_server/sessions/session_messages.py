"""Messages that a session builds from its state: `session.ready`, and `stats` with warnings."""

from __future__ import annotations

from collections.abc import Callable

from ..config.settings import ServerSettings
from ..engines.base import EngineHealth
from ..engines.interface import SupervisedEngine
from ..media.arrays import OUTPUT_SAMPLE_RATE
from ..media.live.audio_input import PcmDecoder
from ..media.provenance import DIGITAL_SOURCE_TYPE
from ..protocol import (
    MAX_MESSAGE_BYTES,
    Limits,
    SessionReady,
    SessionStart,
    Stats,
)
from .conversation import Conversation
from .pacer import Pacer


def build_ready(
    session_id: str,
    start: SessionStart,
    preset: str,
    engine: SupervisedEngine,
    settings: ServerSettings,
    media_type: str,
    max_seconds: float,
) -> SessionReady:
    """Return `session.ready`."""
    width, height = engine.size
    return SessionReady(
        session=session_id,
        avatar=start.avatar or engine.avatars[0],
        preset=preset,
        container=start.container,
        media_type=media_type,
        width=width,
        height=height,
        fps=engine.fps,
        audio_rate=OUTPUT_SAMPLE_RATE,
        fragment_frames=settings.fragment_frames,
        digital_source_type=DIGITAL_SOURCE_TYPE,
        limits=Limits(
            max_message_bytes=MAX_MESSAGE_BYTES,
            buffered_ms=round(settings.conversation.max_buffered_seconds * 1000),
            idle_timeout_seconds=settings.idle_timeout_seconds,
            max_seconds=max_seconds,
        ),
    )


class StatsBuilder:
    """Builds `stats` and remembers what was reported, because warnings name only what is new.

    Args:
        conversation: Source of counters and state.
        pacer: Source of lateness and skipped time.
        reader: Source of the number of repaired samples.
        health: Returns the engine's health.
        sessions: Returns the number of active sessions.
    """

    def __init__(
        self,
        conversation: Conversation,
        pacer: Pacer,
        reader: PcmDecoder,
        health: Callable[[], EngineHealth],
        sessions: Callable[[], int],
    ) -> None:
        self._conversation, self._pacer, self._reader = conversation, pacer, reader
        self._health, self._sessions = health, sessions
        self._reported_health = health()
        self._reported_repeats = 0
        self._reported_skipped = 0.0

    @property
    def has_engine_news(self) -> bool:
        """Whether the engine failed or came back since the last stats."""
        return self._health() != self._reported_health

    def warning(self) -> str | None:
        """Return what went wrong since the last stats, None for nothing."""
        return self._warning(self._health())

    def _warning(self, health: EngineHealth) -> str | None:
        repeats = self._conversation.counters.repeated_frames - self._reported_repeats
        skipped = self._pacer.skipped - self._reported_skipped
        warnings = []
        if repeats:
            warnings.append(f"{repeats} frames were not ready in time; the last frame was repeated")
        if health != self._reported_health:
            warnings.append(_describe(health))
        if skipped:
            warnings.append(f"the media clock was set back by {skipped * 1000:.0f} ms")
        return "; ".join(warnings) or None

    def build(self) -> Stats:
        """Return `stats` and reset what the next warning and lateness start from."""
        conversation, counters = self._conversation, self._conversation.counters
        health = self._health()  # read once, because the device thread may change it
        warning = self._warning(health)
        self._reported_health = health
        self._reported_repeats, self._reported_skipped = counters.repeated_frames, self._pacer.skipped
        return Stats(
            state=conversation.state,
            media_ms=conversation.media_ms,
            frames=counters.frames,
            idle_frames=counters.idle_frames,
            repeated_frames=counters.repeated_frames,
            underrun_frames=counters.underrun_frames,
            buffered_ms=round(conversation.buffered_seconds * 1000, 3),
            latency_ms=None if counters.latency is None else counters.latency.total_ms,
            latency=None if counters.latency is None else counters.latency.to_message(),
            lateness_ms=round(self._pacer.take_lateness() * 1000, 3),
            skipped_ms=round(self._pacer.skipped * 1000, 3),
            repaired_samples=self._reader.repaired,
            sessions=self._sessions(),
            engine="running" if health.state == "running" else "restarting",
            engine_restarts=health.restarts,
            warning=warning,
        )


def _describe(health: EngineHealth) -> str:
    if health.state == "restarting":
        return "the engine failed and is being restarted; the last frame is repeated until it is back"
    return f"the engine was restarted; restarts since the server's start: {health.restarts}"
