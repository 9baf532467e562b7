"""The wire: every message of `GET /v1/stream`, once, for the server and for its clients.

Control is JSON in text messages, each with a `type`; media is binary. Two closed unions, `ClientMessage` and
`ServerMessage`, say what exists; an unknown type or key is refused. Times on the wire are milliseconds of media, counted in
samples. Imports nothing but pydantic, so that a client can use it alone.
"""

from __future__ import annotations

import struct
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

PATH = "/v1/stream"
SUBPROTOCOL = "lipstream.v1"
"""What a browser offers beside its token; a server that is offered it says in the protocol why it refuses."""
TOKEN_SUBPROTOCOL = "lipstream.token."  # noqa: S105  # what stands before a token
"""Browsers cannot set headers of a WebSocket: a token is offered as one more subprotocol, this and the token."""
MAX_MESSAGE_BYTES = 1 << 20
"""A larger message ends the connection with close code 1009."""


class CloseCode(IntEnum):
    """How the server ends a connection; the reason is a word of `Reason`."""

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
    """What was wrong. Which of them end the session is in the server room's README."""

    BAD_MESSAGE = "bad_message"  # not JSON, an unknown type or key, a value out of range
    BAD_AUDIO = (
        "bad_audio"  # base64 that is none, or bytes that end in the middle of a sample at the utterance's end
    )
    NOT_STARTED = "not_started"  # anything before session.start
    ALREADY_STARTED = "already_started"
    UNKNOWN_AVATAR = "unknown_avatar"
    UNKNOWN_PRESET = "unknown_preset"
    BACKLOG_FULL = "backlog_full"
    UNAUTHORIZED = "unauthorized"  # a key or token that is missing, wrong, at its end, or for another avatar
    BUSY = "busy"
    TOO_MANY_ERRORS = "too_many_errors"
    INTERNAL = "internal"
    ENGINE_LOST = "engine_lost"  # the engine failed too often and is not started again


class Message(BaseModel):
    """Unknown keys are refused, values are not coerced, messages do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AudioFormat(Message):
    """How the client's audio is encoded: little endian, channels interleaved."""

    encoding: Literal["s16le", "f32le"] = "s16le"
    rate: Annotated[int, Field(ge=8_000, le=48_000)] = 16_000
    channels: Literal[1, 2] = 1

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels."""
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
    """The first message. avatar, preset: None for the server's own. idle: a face that breathes, or one that is still."""

    type: Literal["session.start"] = "session.start"
    avatar: Name | None = None
    audio: AudioFormat = AudioFormat()
    container: Container = "fmp4"
    preset: Name | None = None
    idle: Literal["alive", "still"] = "alive"


class AudioAppend(Message):
    """Audio for clients that cannot send binary messages: base64 of the same bytes."""

    type: Literal["audio.append"] = "audio.append"
    audio: Annotated[str, Field(max_length=MAX_MESSAGE_BYTES)]


class UtteranceEnd(Message):
    """Nothing more belongs to this utterance: say what is left, close the mouth."""

    type: Literal["utterance.end"] = "utterance.end"


class Interrupt(Message):
    """Be silent: everything that has not been sent is dropped."""

    type: Literal["interrupt"] = "interrupt"


class SessionEnd(Message):
    """Stop at once, flush the media, close. Who wants the last words waits for their `utterance.ended` first."""

    type: Literal["session.end"] = "session.end"


class Ping(Message):
    """Answered by `pong` with the same id."""

    type: Literal["ping"] = "ping"
    id: EventId | None = None


class StatsRequest(Message):
    """Answered by `stats`."""

    type: Literal["stats"] = "stats"


ClientMessage = Annotated[
    SessionStart | AudioAppend | UtteranceEnd | Interrupt | SessionEnd | Ping | StatsRequest,
    Field(discriminator="type"),
]


# Server to client


class Limits(Message):
    """What the session is held to. backlog_ms: most audio received and not yet shown; max_seconds: of the session."""

    message_bytes: int
    backlog_ms: int
    idle_seconds: float
    max_seconds: float


class SessionReady(Message):
    """Media follows. media_type: for MediaSource, with codecs. fragment_frames: frames a fragment, or a burst, at most.
    digital_source_type: how the media was made, in IPTC's vocabulary; the only label of containers that hold none.
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
    """The binary messages that follow show this utterance. at_ms: media time; waited_ms: since its first byte arrived."""

    type: Literal["utterance.started"] = "utterance.started"
    utterance: int
    at_ms: float
    waited_ms: float


class UtteranceEnded(Message):
    """The binary messages that follow do not show it any more. position_ms: how much of its audio was sent."""

    type: Literal["utterance.ended"] = "utterance.ended"
    utterance: int | None
    at_ms: float
    position_ms: float
    interrupted: bool


class DelayParts(Message):
    """What a delay is made of, in the order of time, milliseconds.

    gathering: until there was audio enough for the first window. queueing: for the device. hearing, denoising, decoding: of that
    window. holding: until those after it were bound to come in time. encoding, sending: of the media that shows its first frame.
    """

    gathering_ms: float
    queueing_ms: float
    hearing_ms: float
    denoising_ms: float
    decoding_ms: float
    holding_ms: float
    encoding_ms: float
    sending_ms: float


class Stats(Message):
    """How the session does. warning: None, or why pictures are held or time was skipped, since the last stats.

    state: idle, speaking (an utterance is open), draining (its end is known). backlog_ms: audio received and not yet sent.
    late_frames: frames for which the last picture was held because the model was late; starved_frames: because the client's
    audio was. repaired_samples: that were not finite or louder than full scale. delay_ms: from audio to its picture at
    the last start of an utterance, None before; delay: its parts. lateness_ms: worst of a fragment against the clock.
    skipped_ms: by which the clock was set back because the server could not keep up. engine: "restarting" while it has failed and
    is brought back; the last picture is held, the sound goes on, and so do the pictures afterwards. engine_restarts: since the
    server was started.
    """

    type: Literal["stats"] = "stats"
    state: Literal["idle", "speaking", "draining"]
    media_ms: float
    frames: int
    idle_frames: int
    late_frames: int
    starved_frames: int
    backlog_ms: float
    delay_ms: float | None
    delay: DelayParts | None
    lateness_ms: float
    skipped_ms: float
    repaired_samples: int
    sessions: int
    engine: Literal["running", "restarting"] = "running"
    engine_restarts: int = 0
    warning: str | None = None


class Error(Message):
    """What was wrong with what the client sent. fatal: `session.closing` and the close follow. retry_after: seconds."""

    type: Literal["error"] = "error"
    code: ErrorCode
    message: str
    fatal: bool
    retry_after: float | None = None


class SessionClosing(Message):
    """The last message of a session. With seconds_left, which only a server that stops says, it comes in advance: the session goes
    on for so long, and then ends.
    """

    type: Literal["session.closing"] = "session.closing"
    reason: Reason
    seconds_left: float | None = None


class Pong(Message):
    type: Literal["pong"] = "pong"
    id: EventId | None = None


ServerMessage = Annotated[
    SessionReady | UtteranceStarted | UtteranceEnded | Stats | Error | SessionClosing | Pong,
    Field(discriminator="type"),
]

CLIENT_MESSAGES: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)
SERVER_MESSAGES: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage)


# Binary media of the containers `jpeg` and `rgb`: a header, then the payload.


class Tag(IntEnum):
    """What a tagged binary message holds."""

    JPEG = 1
    PCM = 2
    RGB = 3


_HEADER = struct.Struct(">BBHIQ")
HEADER_BYTES = _HEADER.size


class Tagged(BaseModel):
    """One tagged message: a picture (JPEG, or RGB rows of the session's size), or s16le mono sound.

    utterance: 0 while nobody speaks. position: of a picture its number, of sound the number of its first sample, both since
    the session began; a picture stands at position / fps, a sample at position / audio_rate seconds.
    """

    model_config = ConfigDict(frozen=True)

    tag: Tag
    utterance: int
    position: int
    payload: bytes

    def pack(self) -> bytes:
        return _HEADER.pack(self.tag, 0, 0, self.utterance, self.position) + self.payload

    @classmethod
    def unpack(cls, message: bytes) -> Tagged:
        """Raises ValueError when it is shorter than its header or has an unknown tag."""
        if len(message) < HEADER_BYTES:
            raise ValueError(f"expected at least {HEADER_BYTES} bytes, got {len(message)}")
        tag, _, _, utterance, position = _HEADER.unpack_from(message)
        return cls(tag=Tag(tag), utterance=utterance, position=position, payload=message[HEADER_BYTES:])
