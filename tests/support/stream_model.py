"""Model of a session as its client sees it, against which everything that the server sends is checked."""

from lipstream_server.protocol import (
    MediaTag,
    SessionStart,
    Stats,
    TaggedMedia,
    UtteranceEnded,
    UtteranceStarted,
)


class SessionModel:
    """State of a session, from what was sent and received.

    Args:
        start: First message of the client.
        max_buffered: Seconds of audio that the server buffers at most.
    """

    def __init__(self, start: SessionStart, max_buffered: float) -> None:
        self.start, self.max_buffered = start, max_buffered
        self.frames = self.samples = 0
        self.shown_utterance = 0
        self.ended_utterances = 0  # they end in order, each once
        self.errors = 0
        self.incomplete_bytes = 0  # of the last sample
        self.received_ms = 0.0
        self.position_ms = 0.0
        self.has_losses = False  # whether audio was dropped

    def add_bytes(self, size: int) -> float:
        """Return the milliseconds of audio that these bytes complete."""
        whole, self.incomplete_bytes = divmod(self.incomplete_bytes + size, self.start.audio.sample_bytes)
        return 1000 * whole / self.start.audio.rate

    def check(self, message: object) -> None:
        """Check a message and update the state."""
        if isinstance(message, bytes):
            self._check_media(TaggedMedia.unpack(message))
        elif isinstance(message, UtteranceStarted):
            assert message.utterance == self.ended_utterances + 1
            assert self.shown_utterance == 0
            self._check_event_time(message.at_ms)
            self.shown_utterance = message.utterance
        elif isinstance(message, UtteranceEnded):
            self._check_event_time(message.at_ms)
            if message.utterance is None:
                assert message.interrupted
                assert message.position_ms == 0
                return
            assert message.utterance == self.ended_utterances + 1
            assert self.shown_utterance in (0, message.utterance)
            self.ended_utterances, self.shown_utterance = message.utterance, 0
            self.has_losses = self.has_losses or message.interrupted
            self.position_ms += message.position_ms
            assert self.position_ms <= self.received_ms + self.ended_utterances  # rates round up to a sample
        elif isinstance(message, Stats):
            assert message.media_ms == message.frames * 40 >= self.frames * 40
            assert message.frames >= message.idle_frames + message.repeated_frames + message.underrun_frames
            assert 0 <= message.buffered_ms <= 1000 * self.max_buffered + 1

    def _check_media(self, unit: TaggedMedia) -> None:
        """Positions continue without a gap, and media carries the number of the announced utterance."""
        assert unit.utterance == self.shown_utterance
        if unit.tag is MediaTag.PCM:
            assert unit.position == self.samples
            self.samples += len(unit.payload) // 2
            assert self.samples == self.frames * 1920
        else:
            assert unit.tag is MediaTag[self.start.container.upper()]
            assert unit.position == self.frames
            self.frames += 1
            assert self.frames * 1920 - self.samples <= 2 * 1920

    def _check_event_time(self, at_ms: float) -> None:
        """Events precede the media that they announce."""
        assert self.samples == self.frames * 1920
        assert 0 <= at_ms - self.frames * 40 < 80
