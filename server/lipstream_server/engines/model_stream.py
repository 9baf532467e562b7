"""Streams of a ModelEngine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .base import Stream
from .model_audio import EncodedAudio

if TYPE_CHECKING:
    from lipstream_models.pipeline import PipelineState


@dataclass(frozen=True, eq=False)
class ModelStream(Stream):
    """A stream of a ModelEngine.

    Attributes:
        state: State of the pipeline.
        audio: Encoded audio of the utterance; None before its first window.
    """

    state: PipelineState
    audio: EncodedAudio | None = None


def new_stream(avatar: str, preset: str, state: PipelineState) -> ModelStream:
    """Return a stream at this state of the pipeline, before its first window."""
    sampling = state.sampling
    return ModelStream(avatar, preset, (sampling.preset, sampling.steps, sampling.guidance), state)


def own_stream(stream: Stream) -> ModelStream:
    """Return the stream as one of a ModelEngine. Raises TypeError for any other."""
    if not isinstance(stream, ModelStream):
        raise TypeError(f"expected a stream of this engine, got {type(stream).__name__}")
    return stream
