"""What an operator can set, with every default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from ..auth.session_tokens import TOKEN_PREFIX
from ..observability.drain import DRAIN_SECONDS
from ..sessions.conversation import ConversationSettings
from ..sessions.window_planner import WindowSettings
from ..webhooks.signature import secret_bytes
from ..webhooks.target import is_pattern

_KEY = re.compile(r"[A-Za-z0-9_.~+/=-]{24,200}")
_ORIGIN = re.compile(r"\*|https?://[^/\s]+")


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


@dataclass(frozen=True)
class AccessSettings:
    """key: one that is always there, beside those of `lipstream keys`, for where no command can be run. origins: of pages on
    other hosts that may use this server, such as https://example.com; * for all. hosts: names besides localhost under which a
    server without keys may be asked for; * for all. token_seconds: most that a session of a token may last.
    connect_seconds: most that a token may wait to be used. fresh_seconds: a key that was removed is good for so long at most.
    """

    key: SecretStr | None = None
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    token_seconds: float = 3600.0
    connect_seconds: float = 3600.0
    fresh_seconds: float = 2.0

    def __post_init__(self) -> None:
        secret = "" if self.key is None else self.key.get_secret_value()
        if self.key is not None and not (_KEY.fullmatch(secret) and not secret.startswith(TOKEN_PREFIX)):
            raise ValueError(
                "access.key takes 24 to 200 letters and digits that nobody can guess, such as `openssl rand -hex 24` prints"
            )
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"an origin is such as https://example.com, or *, got {origin!r}")


@dataclass(frozen=True)
class SigningSettings:
    """What finished clips are signed with (C2PA); both or none. certificate: PEM file of the signer's certificate and those up
    to a trusted one. key: PEM file of its private key, without a password.
    """

    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError(
                "signing needs a certificate and its key: signing.certificate and signing.key, "
                f"got {self.certificate} and {self.key}"
            )


@dataclass(frozen=True)
class WebhookSettings:
    """secret: what webhooks are signed with, `whsec_` and base64 (Standard Webhooks); without it there are none. hosts: that
    webhooks may go to, example.com or *.example.com, at whatever address and also without TLS; without any, to every host whose
    addresses are all public, over https. seconds: that an attempt may take. pauses: in seconds, after each attempt that
    failed, a fifth more or less; when all were waited for it is given up.
    """

    secret: SecretStr | None = None
    hosts: tuple[str, ...] = ()
    seconds: float = 10.0
    pauses: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0, 3600.0)

    def __post_init__(self) -> None:
        if self.secret is not None:
            secret_bytes(self.secret.get_secret_value())
        for host in self.hosts:
            if not is_pattern(host):
                raise ValueError(
                    f"webhooks.hosts takes names in lower case such as example.com or *.example.com, got {host!r}"
                )


@dataclass(frozen=True)
class EngineSettings:
    """When an engine that runs in a process of its own counts as lost, and how often it is brought back.

    load_seconds: it may take to load. call_seconds: for a portrait, a stream's beginning, and the first window. window_seconds: for
    a window. window_factor: for a window, or so many times what windows lately took, if that is more. check_seconds: between
    checks that it answers. tries: of a window, or of another call, that it was lost at. most_losses: that it is brought back
    after, within losses_seconds. losses_seconds: that losses count for. smaller_seconds: after it ran out of memory, batches
    stay small for so long.
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
    """sessions: most sessions at once; measured at warm-up without it. fragment_frames: a fragment's pictures, at most.
    few_sessions: while no more are open a fragment holds one picture, which so need not be there before its turn; that costs the
    server a fifth more work.

    hello_seconds: to session.start. idle_seconds: without any message of the client. max_seconds: of a session.
    send_seconds: a message that the client has not taken after that ends the session. lag_seconds: a server that is further
    behind the clock sets it back. load: the share of real time that sessions may take together; the
    rest is for encoding, which on a CPU takes the same cores. encoders: threads that encode.
    errors: how many of its mistakes a session outlives. most_batch: windows that are made together. retry_seconds: after which
    whoever was refused is told to try again. preset: of sessions and clips that name none; without it the model's own.
    drain_seconds: that sessions may go on when the server is told to stop. stuck_seconds: a window in work for so much longer
    than an engine itself allows means that the device hangs, and `/healthz` says so. mark: pictures of sessions and clips
    show "AI" in a corner.
    """

    sessions: int | None = None
    fragment_frames: int = 2
    few_sessions: int = 8
    hello_seconds: float = 10.0
    idle_seconds: float = 300.0
    max_seconds: float = 4 * 3600.0
    send_seconds: float = 5.0
    lag_seconds: float = 1.0
    load: float = 0.75
    most_batch: int = 8
    encoders: int = 4
    errors: int = 100
    retry_seconds: float = 5.0
    preset: str | None = None
    drain_seconds: float = DRAIN_SECONDS
    stuck_seconds: float = 30.0
    mark: bool = False
    avatars: AvatarSettings = field(default_factory=AvatarSettings)
    uploads: UploadSettings = field(default_factory=UploadSettings)
    signing: SigningSettings = field(default_factory=SigningSettings)
    clips: ClipSettings = field(default_factory=ClipSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    talk: ConversationSettings = field(default_factory=ConversationSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)

    def __post_init__(self) -> None:
        if self.sessions is not None and self.sessions < 1:
            raise ValueError(f"a server holds at least one session, got {self.sessions}")
        if not 1 <= self.fragment_frames <= 5:
            raise ValueError(f"fragments hold 1 to 5 frames (at most 200 ms), got {self.fragment_frames}")
