"""What a client may believe of a session: held against everything that the server sends, whatever the client did."""

from lipstream_server.protocol import (
    MediaTag,
    SessionStart,
    Stats,
    TaggedMedia,
    UtteranceEnded,
    UtteranceStarted,
)


class Expected:
    """From what was sent and what came. backlog: seconds of audio that the server lets wait."""

    def __init__(self, start: SessionStart, backlog: float) -> None:
        self.start, self.backlog = start, backlog
        self.pictures = self.samples = 0
        self.showing = 0
        self.ended = 0  # utterances end in order, each once
        self.mistakes = 0
        self.rest = 0  # bytes of a sample that has not come whole
        self.heard_ms = 0.0
        self.position_ms = 0.0
        self.losses = False  # whether something has been dropped by now

    def audio(self, size: int) -> float:
        """Milliseconds that these bytes complete."""
        whole, self.rest = divmod(self.rest + size, self.start.audio.sample_bytes)
        return 1000 * whole / self.start.audio.rate

    def take(self, message: object) -> None:
        if isinstance(message, bytes):
            self.media(TaggedMedia.unpack(message))
        elif isinstance(message, UtteranceStarted):
            assert message.utterance == self.ended + 1
            assert self.showing == 0
            self.in_time(message.at_ms)
            self.showing = message.utterance
        elif isinstance(message, UtteranceEnded):
            self.in_time(message.at_ms)
            if message.utterance is None:
                assert message.interrupted
                assert message.position_ms == 0
                return
            assert message.utterance == self.ended + 1
            assert self.showing in (0, message.utterance)
            self.ended, self.showing = message.utterance, 0
            self.losses = self.losses or message.interrupted
            self.position_ms += message.position_ms
            assert self.position_ms <= self.heard_ms + self.ended  # rates round up to a sample
        elif isinstance(message, Stats):
            assert message.media_ms == message.frames * 40 >= self.pictures * 40
            assert message.frames >= message.idle_frames + message.repeated_frames + message.underrun_frames
            assert 0 <= message.buffered_ms <= 1000 * self.backlog + 1

    def media(self, unit: TaggedMedia) -> None:
        """Positions go on without a gap, and everything is marked with the utterance that has been announced."""
        assert unit.utterance == self.showing
        if unit.tag is MediaTag.PCM:
            assert unit.position == self.samples
            self.samples += len(unit.payload) // 2
            assert self.samples == self.pictures * 1920
        else:
            assert unit.tag is MediaTag[self.start.container.upper()]
            assert unit.position == self.pictures
            self.pictures += 1
            assert self.pictures * 1920 - self.samples <= 2 * 1920

    def in_time(self, at_ms: float) -> None:
        """Events stand before the burst that they speak of."""
        assert self.samples == self.pictures * 1920
        assert 0 <= at_ms - self.pictures * 40 < 80
