"""What an operator can set, with every default."""

from __future__ import annotations

from dataclasses import dataclass, field

from .talk import TalkSettings
from .windows import WindowSettings


@dataclass(frozen=True)
class AvatarSettings:
    """most: uploaded avatars that are kept, in memory. max_bytes: of a picture file. uploads: that may be under way at once.

    upload_seconds: that one may take. opened: streams at their beginning that are kept, one for each avatar and preset.
    """

    most: int = 16
    max_bytes: int = 16 << 20
    uploads: int = 4
    upload_seconds: float = 60.0
    opened: int = 16


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
    talk: TalkSettings = field(default_factory=TalkSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)

    def __post_init__(self) -> None:
        if self.sessions is not None and self.sessions < 1:
            raise ValueError(f"a server holds at least one session, got {self.sessions}")
        if not 1 <= self.fragment_frames <= 5:
            raise ValueError(f"fragments hold 1 to 5 frames (at most 200 ms), got {self.fragment_frames}")
