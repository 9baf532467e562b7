"""What an operator can set, with every default."""

from __future__ import annotations

from dataclasses import dataclass, field

from .talk import TalkSettings
from .windows import WindowSettings


@dataclass(frozen=True)
class AvatarSettings:
    """most: uploaded avatars that the engine keeps in memory. max_bytes: of a picture file.

    opened: streams at their beginning that are kept, one for each avatar and preset.
    """

    most: int = 16
    max_bytes: int = 16 << 20
    opened: int = 16


@dataclass(frozen=True)
class UploadSettings:
    """most: under way at once. seconds: that one may take. free_bytes: that the disk must have left beside it."""

    most: int = 4
    seconds: float = 120.0
    free_bytes: int = 256 << 20


@dataclass(frozen=True)
class ClipSettings:
    """max_bytes, max_seconds: of a recording. most_queued: clips that wait. window: frames that are made at once; None for the
    longest that sessions have. keep_seconds: finished clips are removed after that. keep_bytes: and where all clips together
    are larger, the oldest finished ones. key_seconds: an idempotency key is known for so long. full_seconds: a clip that met
    a full disk is tried again after that.
    """

    max_bytes: int = 64 << 20
    max_seconds: float = 600.0
    most_queued: int = 1000
    window: int | None = None
    keep_seconds: float = 7 * 86_400.0
    keep_bytes: int = 10 << 30
    key_seconds: float = 86_400.0
    full_seconds: float = 10.0
    sides: tuple[int, int] = (64, 1024)


@dataclass(frozen=True)
class EngineSettings:
    """When an engine that runs in a process of its own counts as lost, and how often it is brought back.

    load_seconds: it may take to load. call_seconds: for a portrait, a stream's beginning, and the first window. window_seconds: for
    a window, or window_factor times what windows lately took, if that is more. check_seconds: between checks that it answers.
    tries: of a window, or of another call, that it was lost at. most_losses within losses_seconds: with one more it is not
    brought back.
    smaller_seconds: after it ran out of memory, batches stay small for so long.
    """

    load_seconds: float = 600.0
    call_seconds: float = 120.0
    window_seconds: float = 10.0
    window_factor: float = 20.0
    check_seconds: float = 1.0
    tries: int = 3
    most_losses: int = 10
    losses_seconds: float = 300.0
    smaller_seconds: float = 60.0


@dataclass(frozen=True)
class ServerSettings:
    """sessions: most at once; None: derived from a measurement at warm-up. fragment_frames: a fragment's pictures.

    hello_seconds: to session.start. idle_seconds: without any message of the client. max_seconds: of a session.
    send_seconds: a message that the client has not taken after that ends the session. lag_seconds: a server that is further
    behind the clock sets it back. load: the share of real time that sessions may take together. encoders: threads that encode.
    errors: how many of its mistakes a session outlives.
    """

    sessions: int | None = None
    fragment_frames: int = 2
    hello_seconds: float = 10.0
    idle_seconds: float = 300.0
    max_seconds: float = 4 * 3600.0
    send_seconds: float = 5.0
    lag_seconds: float = 1.0
    load: float = 0.85
    most_batch: int = 8
    encoders: int = 4
    errors: int = 100
    retry_seconds: float = 5.0
    preset: str | None = None
    avatars: AvatarSettings = field(default_factory=AvatarSettings)
    uploads: UploadSettings = field(default_factory=UploadSettings)
    clips: ClipSettings = field(default_factory=ClipSettings)
    talk: TalkSettings = field(default_factory=TalkSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)

    def __post_init__(self) -> None:
        if self.sessions is not None and self.sessions < 1:
            raise ValueError(f"a server holds at least one session, got {self.sessions}")
        if not 1 <= self.fragment_frames <= 5:
            raise ValueError(f"fragments hold 1 to 5 frames (at most 200 ms), got {self.fragment_frames}")
