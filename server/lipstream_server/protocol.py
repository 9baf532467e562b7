"""Messages of the streaming protocol `GET /v1/stream`, shared by the server and its clients.

Control messages are JSON in text frames, each with a `type`; media is binary. `ClientMessage` and `ServerMessage` are closed
unions: an unknown type or key is rejected. Times are milliseconds of media, counted in samples. The module imports only
pydantic, so that a client can use it on its own.
"""

from __future__ import annotations

import struct
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

PATH = "/v1/stream"
SUBPROTOCOL = "lipstream.v1"
"""Subprotocol that a browser offers beside its token; the server then rejects a session by protocol messages, not HTTP 401."""
TOKEN_SUBPROTOCOL = "lipstream.token."  # noqa: S105  # a prefix, not a secret
"""Prefix of the subprotocol that carries a session token: browsers cannot set headers of a WebSocket."""
MAX_MESSAGE_BYTES = 1 << 20
"""Largest message; a larger one ends the connection with close code 1009."""


class CloseCode(IntEnum):
    """WebSocket close codes of the server; the close reason is a `Reason`."""

    NORMAL = 1000
    GOING_AWAY = 1001
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    BUSY = 1013
    PROTOCOL = 4400
    UNAUTHORIZED = 4401
    UNKNOWN = 4404
    IDLE = 4408
    SLOW_READER = 4429


class ErrorCode(StrEnum):
    """Error codes; `Error.fatal` says whether the session ends."""

    BAD_MESSAGE = "bad_message"  # not JSON, an unknown type or key, a value out of range
    BAD_AUDIO = "bad_audio"  # invalid base64, or an utterance that ends within a sample
    NOT_STARTED = "not_started"  # a message before session.start
    ALREADY_STARTED = "already_started"
    UNKNOWN_AVATAR = "unknown_avatar"
    UNKNOWN_PRESET = "unknown_preset"
    BUFFER_FULL = "buffer_full"  # more audio than Limits.buffered_ms would wait
    UNAUTHORIZED = "unauthorized"  # a key or token that is missing, invalid, expired or for another avatar
    BUSY = "busy"
    TOO_MANY_ERRORS = "too_many_errors"
    INTERNAL = "internal"
    ENGINE_LOST = "engine_lost"  # the engine failed too often and is not restarted


class Message(BaseModel):
    """Base of all messages: unknown keys are rejected, values are not coerced, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AudioFormat(Message):
    """Encoding of the client's audio: little endian, channels interleaved, `rate` in Hz."""

    encoding: Literal["s16le", "f32le"] = "s16le"
    rate: Annotated[int, Field(ge=8_000, le=48_000)] = 16_000
    channels: Literal[1, 2] = 1

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample frame (one sample of each channel)."""
        return self.channels * (2 if self.encoding == "s16le" else 4)


Container = Literal["fmp4", "webm", "jpeg", "rgb"]
Reason = Literal[
    "ended",
    "protocol",
    "unauthorized",
    "unknown",
    "busy",
    "idle",
    "expired",
    "slow_reader",
    "shutdown",
    "internal",
    "engine_lost",
]
Name = Annotated[str, Field(min_length=1, max_length=200)]
EventId = Annotated[str, Field(max_length=200)]


# Client to server


class SessionStart(Message):
    """Start the session; the first message.

    Attributes:
        avatar: Name of an avatar, None for the server's default.
        preset: Name of a sampling plan, None for the server's default.
        idle: What is shown between utterances: an animated face ("alive") or one frame ("still").
    """

    type: Literal["session.start"] = "session.start"
    avatar: Name | None = None
    audio: AudioFormat = AudioFormat()
    container: Container = "fmp4"
    preset: Name | None = None
    idle: Literal["alive", "still"] = "alive"


class AudioAppend(Message):
    """Audio as base64, for clients that cannot send binary messages."""

    type: Literal["audio.append"] = "audio.append"
    audio: Annotated[str, Field(max_length=MAX_MESSAGE_BYTES)]


class UtteranceEnd(Message):
    """End the open utterance: its remaining audio is shown, then the mouth closes."""

    type: Literal["utterance.end"] = "utterance.end"


class Interrupt(Message):
    """Drop all audio and frames that have not been sent."""

    type: Literal["interrupt"] = "interrupt"


class SessionEnd(Message):
    """End the session at once: flush the media and close. Wait for `utterance.ended` first to receive all speech."""

    type: Literal["session.end"] = "session.end"


class Ping(Message):
    """Request a `pong` with the same id."""

    type: Literal["ping"] = "ping"
    id: EventId | None = None


class StatsRequest(Message):
    """Request `stats`."""

    type: Literal["stats"] = "stats"


ClientMessage = Annotated[
    SessionStart | AudioAppend | UtteranceEnd | Interrupt | SessionEnd | Ping | StatsRequest,
    Field(discriminator="type"),
]


# Server to client


class Limits(Message):
    """Limits of a session.

    Attributes:
        max_message_bytes: Largest message of the client.
        buffered_ms: Most audio that may be received and not yet sent as media.
        idle_timeout_seconds: Longest time without a message of the client.
        max_seconds: Longest duration of the session.
    """

    max_message_bytes: int
    buffered_ms: int
    idle_timeout_seconds: float
    max_seconds: float


class SessionReady(Message):
    """Report that the session has started; binary media follows.

    Attributes:
        media_type: MIME type with codecs, as MediaSource takes it.
        audio_rate: Sample rate of the audio that is sent, in Hz.
        fragment_frames: Most frames in one fragment.
        digital_source_type: IPTC digital source type of the media; the only label of containers without metadata.
    """

    type: Literal["session.ready"] = "session.ready"
    session: str
    avatar: str
    preset: str
    container: Container
    media_type: str
    width: int
    height: int
    fps: int
    audio_rate: int
    fragment_frames: int
    digital_source_type: str
    limits: Limits


class UtteranceStarted(Message):
    """Report that the binary messages that follow show this utterance.

    Attributes:
        at_ms: Media time of its first frame.
        latency_ms: Time from the arrival of its first byte to its first frame.
    """

    type: Literal["utterance.started"] = "utterance.started"
    utterance: int
    at_ms: float
    latency_ms: float


class UtteranceEnded(Message):
    """Report that the binary messages that follow no longer show this utterance.

    Attributes:
        utterance: Its number, None where an `interrupt` found none.
        at_ms: Media time of its end.
        position_ms: Duration of its audio that was sent.
    """

    type: Literal["utterance.ended"] = "utterance.ended"
    utterance: int | None
    at_ms: float
    position_ms: float
    interrupted: bool


class LatencyParts(Message):
    """Parts of a first-frame latency in the order in which they pass, in milliseconds.

    Attributes:
        buffering_ms: Until there was enough audio for the first window.
        queueing_ms: Until the device was free.
        audio_encoding_ms: Audio encoder, of the first window.
        denoising_ms: Denoiser, of the first window.
        decoding_ms: Autoencoder, of the first window.
        startup_delay_ms: Until the next windows were sure to be ready in time.
        encoding_ms: Encoding of the media with the first frame.
        sending_ms: Sending of the media with the first frame.
    """

    buffering_ms: float
    queueing_ms: float
    audio_encoding_ms: float
    denoising_ms: float
    decoding_ms: float
    startup_delay_ms: float
    encoding_ms: float
    sending_ms: float


class Stats(Message):
    """Statistics of a session; counters run since its start.

    Attributes:
        state: idle, speaking (an utterance is open) or draining (its end is known and not all has been sent).
        media_ms: Media time that has been sent.
        frames: Frames that have been sent, of which the next three are parts.
        idle_frames: Frames while no utterance was shown.
        repeated_frames: Frames that repeat the last one because the next was not ready.
        underrun_frames: Frames that repeat the last one because the client's audio came too late.
        buffered_ms: Audio received and not yet sent as media.
        latency_ms: First-frame latency of the last utterance, None before the first.
        latency: Parts of `latency_ms`.
        lateness_ms: Largest lateness of a fragment since the last stats.
        skipped_ms: Time by which the media clock was set back because the server could not keep up.
        repaired_samples: Samples that were not finite or beyond full scale.
        sessions: Sessions of the server.
        engine: "restarting" while a failed engine is started again; audio goes on, the last frame is repeated.
        engine_restarts: Restarts of the engine since the server's start.
        warning: Frames that were repeated, time that was skipped and engine restarts since the last stats, or None.
    """

    type: Literal["stats"] = "stats"
    state: Literal["idle", "speaking", "draining"]
    media_ms: float
    frames: int
    idle_frames: int
    repeated_frames: int
    underrun_frames: int
    buffered_ms: float
    latency_ms: float | None
    latency: LatencyParts | None
    lateness_ms: float
    skipped_ms: float
    repaired_samples: int
    sessions: int
    engine: Literal["running", "restarting"] = "running"
    engine_restarts: int = 0
    warning: str | None = None


class Error(Message):
    """Report a failed request of the client, or why the session ends.

    Attributes:
        fatal: Whether `session.closing` and the close of the connection follow.
        retry_after: Seconds after which to try again.
    """

    type: Literal["error"] = "error"
    code: ErrorCode
    message: str
    fatal: bool
    retry_after: float | None = None


class SessionClosing(Message):
    """Announce the end of the session; the last message before the close.

    Attributes:
        seconds_left: Set only by a server that drains: the message comes in advance, and the session ends after so many seconds.
    """

    type: Literal["session.closing"] = "session.closing"
    reason: Reason
    seconds_left: float | None = None


class Pong(Message):
    """Answer a `ping`."""

    type: Literal["pong"] = "pong"
    id: EventId | None = None


ServerMessage = Annotated[
    SessionReady | UtteranceStarted | UtteranceEnded | Stats | Error | SessionClosing | Pong,
    Field(discriminator="type"),
]

CLIENT_MESSAGES: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)
SERVER_MESSAGES: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage)


# Binary media of the containers `jpeg` and `rgb`: a header of 16 bytes, then the payload.


class MediaTag(IntEnum):
    """Kinds of payload of a `TaggedMedia` message."""

    JPEG = 1
    PCM = 2
    RGB = 3


_HEADER = struct.Struct(">BBHIQ")
HEADER_BYTES = _HEADER.size


class TaggedMedia(BaseModel):
    """One binary message: a frame (JPEG, or RGB rows of the session's size) or s16le mono audio.

    Attributes:
        utterance: Number of the utterance, 0 while none is shown.
        position: Number of the frame, or of the first audio sample, since the session's start; the time in seconds is
            `position / fps`, or `position / audio_rate`.
    """

    model_config = ConfigDict(frozen=True)

    tag: MediaTag
    utterance: int
    position: int
    payload: bytes

    def pack(self) -> bytes:
        """Return the message as bytes."""
        return _HEADER.pack(self.tag, 0, 0, self.utterance, self.position) + self.payload

    @classmethod
    def unpack(cls, message: bytes) -> TaggedMedia:
        """Parse a message.

        Raises:
            ValueError: It is shorter than its header or has an unknown tag.
        """
        if len(message) < HEADER_BYTES:
            raise ValueError(f"expected at least {HEADER_BYTES} bytes, got {len(message)}")
        tag, _, _, utterance, position = _HEADER.unpack_from(message)
        return cls(tag=MediaTag(tag), utterance=utterance, position=position, payload=message[HEADER_BYTES:])
