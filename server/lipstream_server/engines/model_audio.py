"""The audio features of a stream, window by window: an immutable state and the functions over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import WindowRequest

if TYPE_CHECKING:
    from lipstream_models.audio import LiveEncoder
    from lipstream_models.audio.sliding import SlidingState

Features = NDArray[np.float32]
CONTEXT_FRAMES = 2
"""Frames of audio on either side that a frame is generated from."""


@dataclass(frozen=True, eq=False)
class EncodedAudio:
    """The encoded audio of an utterance.

    Attributes:
        state: State of the audio encoder.
        samples: Number of samples that have been encoded.
        features: Audio features (N, blocks, channels), one row a frame.
        first_row: Frame number of the first row.
    """

    state: SlidingState
    samples: int
    features: Features
    first_row: int


def encode_request(
    encoder: LiveEncoder, audio: EncodedAudio | None, request: WindowRequest, needed: int
) -> EncodedAudio:
    """Encode the audio of a request; silence follows the end of the utterance.

    Args:
        encoder: The audio encoder of the model.
        audio: The utterance so far; None before its first window.
        request: The request.
        needed: Samples from the start of the utterance that the window needs.

    Raises:
        ValueError: Samples are missing and the utterance has not ended.
    """
    stream = encoder.stream()
    if audio is not None:
        stream.state = audio.state
    samples = (audio.samples if audio else 0) + len(request.samples)
    missing = needed - samples
    if missing > 0 and not request.ended:
        raise ValueError(f"{missing} samples are missing for a window of an utterance that has not ended")
    features = stream.push(np.pad(request.samples, (0, max(0, missing))))
    if audio is not None:
        features = np.concatenate([audio.features, features])
    return EncodedAudio(stream.state, samples + max(0, missing), features, audio.first_row if audio else 0)


def window_features(audio: EncodedAudio, request: WindowRequest) -> Features:
    """Return the features (F, 5, blocks, channels) of a window: each frame with two neighbours on either side.

    The first frame of the utterance stands in for those before it.
    """
    neighbours = np.arange(-CONTEXT_FRAMES, CONTEXT_FRAMES + 1)
    index = request.start + np.arange(request.frames)[:, None] + neighbours
    window: Features = audio.features[np.maximum(index, 0) - audio.first_row]
    return window


def drop_used(audio: EncodedAudio, request: WindowRequest) -> EncodedAudio:
    """Drop the features that no window after this one can need."""
    first = max(audio.first_row, request.start + request.frames - CONTEXT_FRAMES)
    return replace(audio, features=audio.features[first - audio.first_row :].copy(), first_row=first)
